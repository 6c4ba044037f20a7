package codec

import (
	"reflect"
	"strings"
	"sync"
)

// maxSteps is how many pointers, interfaces, structs, slices and maps a value may have within one another before Append
// takes it for a cycle. Each level of [MaxDepth] has room for eight of them.
const maxSteps = 8 * MaxDepth

// A nesting finds values that hold themselves, over which the library would overflow the stack: that cannot be recovered
// from. It is nil for types whose values cannot, so that only recursive types and interfaces cost a walk.
type nesting struct {
	dialect
	known sync.Map // of reflect.Type to *parts
}

func newNesting[V any](d dialect) *nesting {
	n := &nesting{dialect: d}
	if !n.canNest(reflect.TypeFor[V](), map[reflect.Type]bool{}) {
		return nil
	}
	return n
}

// canNest reports whether a value of type t can hold itself. within has the types that were looked at: true while their
// parts are.
func (n *nesting) canNest(t reflect.Type, within map[reflect.Type]bool) bool {
	if n.isCustom(t) { // encodes itself
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true // can hold anything
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
	default:
		return false
	}
	if open, ok := within[t]; ok {
		return open
	}
	within[t] = true
	defer func() { within[t] = false }()
	if t.Kind() != reflect.Struct {
		return n.canNest(t.Elem(), within)
	}
	for i := range t.NumField() {
		if n.isEncoded(t.Field(i)) && n.canNest(t.Field(i).Type, within) {
			return true
		}
	}
	return false
}

func (n *nesting) isEncoded(f reflect.StructField) bool {
	name, _, _ := strings.Cut(f.Tag.Get(n.tag), ",")
	return name != "-" && (f.IsExported() || f.Anonymous)
}

// tooDeep reports whether v has more than steps things within one another. It ends on a cycle too.
func (n *nesting) tooDeep(v reflect.Value, steps int) bool {
	if steps == 0 {
		return true
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.CanInterface() {
			return n.anyTooDeep(v.Interface(), steps-1)
		}
		return !v.IsNil() && n.tooDeep(v.Elem(), steps-1)
	case reflect.Pointer:
		return !v.IsNil() && n.tooDeep(v.Elem(), steps-1)
	case reflect.Struct:
		for _, i := range n.partsOf(v.Type()).fields {
			if n.tooDeep(v.Field(i), steps-1) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if n.partsOf(v.Type()).elements {
			for i := range v.Len() {
				if n.tooDeep(v.Index(i), steps-1) {
					return true
				}
			}
		}
	case reflect.Map:
		if v.Type() == anyMap && v.CanInterface() {
			return n.anyTooDeep(v.Interface(), steps)
		}
		if n.partsOf(v.Type()).elements {
			for entries := v.MapRange(); entries.Next(); {
				if n.tooDeep(entries.Value(), steps-1) {
					return true
				}
			}
		}
	}
	return false
}

var anyMap = reflect.TypeFor[map[string]any]()

// anyTooDeep is tooDeep without reflection for what interfaces mostly hold.
func (n *nesting) anyTooDeep(v any, steps int) bool {
	if steps == 0 {
		return true
	}
	switch v := v.(type) {
	case nil, string, bool, int, int64, uint64, float64, []byte:
		return false
	case map[string]any:
		for _, element := range v {
			if n.anyTooDeep(element, steps-1) {
				return true
			}
		}
		return false
	case []any:
		for _, element := range v {
			if n.anyTooDeep(element, steps-1) {
				return true
			}
		}
		return false
	}
	return n.tooDeep(reflect.ValueOf(v), steps)
}

// parts are what has to be walked of the values of a type: nothing if it encodes itself.
type parts struct {
	fields   []int // of a struct
	elements bool  // of a slice, an array or a map
}

func (n *nesting) partsOf(t reflect.Type) *parts {
	if known, ok := n.known.Load(t); ok {
		return known.(*parts)
	}
	p := &parts{}
	switch {
	case n.isCustom(t):
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); n.isEncoded(f) && holdsMore(f.Type) {
				p.fields = append(p.fields, i)
			}
		}
	default:
		p.elements = holdsMore(t.Elem())
	}
	n.known.Store(t, p)
	return p
}

func holdsMore(t reflect.Type) bool { return isComposite(t.Kind()) || t.Kind() == reflect.Interface }
