package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/xxh3"
)

// Fingerprint returns a [Codec.Schema] for V in a format that takes a field's name and options from the struct tag
// tag, and leaves types that implement encoding.TextMarshaler, encoding.BinaryMarshaler or their inverses to themselves.
//
// It covers kinds, the names, tags, order and types of the fields that are encoded, and all that these are made of, but
// no names of types: renaming one changes nothing. Of a type that encodes itself only the name is covered, since what it
// writes cannot be seen: give it a new name when that changes, or the cache a new version.
func Fingerprint[V any](tag string) uint64 {
	return fingerprint[V](dialect{tag: tag, custom: []reflect.Type{
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
	}})
}

// A dialect is how a format looks at types.
type dialect struct {
	tag    string
	custom []reflect.Type // who implements one of these, itself or its pointer, encodes itself
}

var (
	messagePackDialect = dialect{tag: "msgpack", custom: []reflect.Type{
		reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.CustomDecoder](),
		reflect.TypeFor[msgpack.Marshaler](), reflect.TypeFor[msgpack.Unmarshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}}
	jsonDialect = dialect{tag: "json", custom: []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}}
)

// fingerprint hashes a description of V. It is never 0, which means none.
func fingerprint[V any](d dialect) uint64 {
	w := walker{dialect: d, seen: map[reflect.Type]int{}}
	w.text.WriteString("1 " + d.tag + " ") // 1 is the version of the description
	w.walk(reflect.TypeFor[V]())
	return max(xxh3.HashString(w.text.String()), 1)
}

// A walker describes a type in words.
type walker struct {
	dialect
	text strings.Builder
	seen map[reflect.Type]int // named types in the order in which they were met
}

func (w *walker) walk(t reflect.Type) {
	if w.isCustom(t) {
		w.text.WriteString("custom " + strconv.Quote(t.String()))
		return
	}
	if t.Name() != "" && isComposite(t.Kind()) {
		if n, ok := w.seen[t]; ok { // recursive, or simply used twice
			w.text.WriteString("#" + strconv.Itoa(n))
			return
		}
		w.seen[t] = len(w.seen)
	}
	switch t.Kind() {
	case reflect.Pointer:
		w.text.WriteString("*")
		w.walk(t.Elem())
	case reflect.Slice:
		w.text.WriteString("[]")
		w.walk(t.Elem())
	case reflect.Array:
		w.text.WriteString("[" + strconv.Itoa(t.Len()) + "]")
		w.walk(t.Elem())
	case reflect.Map:
		w.text.WriteString("map[")
		w.walk(t.Key())
		w.text.WriteString("]")
		w.walk(t.Elem())
	case reflect.Struct:
		w.walkFields(t)
	case reflect.Interface:
		w.text.WriteString("interface " + strconv.Quote(t.String()))
	default:
		w.text.WriteString(t.Kind().String())
	}
}

func (w *walker) walkFields(t reflect.Type) {
	w.text.WriteString("struct{")
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get(w.tag)
		if name, _, _ := strings.Cut(tag, ","); name == "-" && (tag == "-" || w.tag != "json") {
			continue
		}
		if f.Name == "_msgpack" { // holds options for the whole struct
			w.text.WriteString("options " + strconv.Quote(tag) + ";")
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous {
			w.text.WriteString("embedded ")
		}
		w.text.WriteString(f.Name + " " + strconv.Quote(tag) + " ")
		w.walk(f.Type)
		w.text.WriteString(";")
	}
	w.text.WriteString("}")
}

func (d dialect) isCustom(t reflect.Type) bool {
	for _, i := range d.custom {
		if t.Kind() != reflect.Pointer && (t.Implements(i) || reflect.PointerTo(t).Implements(i)) {
			return true
		}
	}
	return false
}

func isComposite(k reflect.Kind) bool {
	switch k {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		return true
	}
	return false
}
