package memo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A contextVariant is what a result depends on beside the arguments.
type contextVariant struct {
	name string
	from func(context.Context) (string, error)
	into func(context.Context, string) context.Context
}

// An argsVariant is a part of the arguments by which results are invalidated together.
type argsVariant struct {
	name string
	of   any // func(A) string
}

// ByContext declares that results depend on a value that the context of a call carries, such as a tenant or a language. It becomes
// part of the key, so that no call gets what was computed for another value, and all results of one value can be invalidated by
// InvalidateVariant.
//
// from returns the value, and is called by each call, also one that hits; its error is that of the call, so a context without
// a tenant need not get anybody's results. into puts a value into a context: the function is always called with a context that into
// made from the value in the key, also behind a stale result, where there is no caller whose context it could have.
//
//	memo.ByContext("tenant", tenant.FromContext, tenant.NewContext)
func ByContext(name string, from func(context.Context) (string, error), into func(context.Context, string) context.Context) Option {
	return func(d *declared) { d.contexts = append(d.contexts, contextVariant{name, from, into}) }
}

// ByArgs declares that all results whose arguments have one value of of can be invalidated by InvalidateVariant. The arguments are part
// of the key anyhow. of must always return the same for the same arguments, and is called when the function is, concurrently. For
// functions of several arguments A is [Args2] or [Args3].
//
// A field of a struct of arguments is declared so by its tag: `memo:"variant"` names the variant as the field, with a small first
// letter, and `memo:"variant=country"` country. It has to be a string, an integer or a bool, which is written as fmt.Sprint does.
func ByArgs[A any](name string, of func(args A) string) Option {
	return func(d *declared) { d.args = append(d.args, argsVariant{name, of}) }
}

var variantName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// variantTag is the tag of all results of one value of a variant. A name has no '=', and a value is told apart from a digest.
func variantTag(name, value string) string {
	if len(value) > longest {
		sum := sha256.Sum256([]byte(value))
		return "variant/" + name + "#" + hex.EncodeToString(sum[:])
	}
	return "variant/" + name + "=" + value
}

// taggedFields returns the fields of A, and of structs in it, that are declared as variants, as variants of a func(A) string.
func taggedFields[A any]() ([]argsVariant, error) {
	w := tagWalk{seen: map[reflect.Type]bool{}}
	w.walk(reflect.TypeFor[A](), nil, true)
	var out []argsVariant
	for i, name := range w.names {
		index := w.fields[i]
		out = append(out, argsVariant{name, func(a A) string { return plain(reflect.ValueOf(&a).Elem().FieldByIndex(index)) }})
	}
	return out, errors.Join(w.errs...)
}

// A tagWalk looks for tags in a type.
type tagWalk struct {
	seen   map[reflect.Type]bool // behind pointers and in collections
	names  []string
	fields [][]int
	errs   []error
}

// walk looks at t, which is at index of the arguments; or behind a pointer or in a collection, where there is not one value of a field.
func (w *tagWalk) walk(t reflect.Type, index []int, one bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		if w.seen[t] {
			return
		}
		w.seen[t] = true
		if t.Kind() == reflect.Map {
			w.walk(t.Key(), nil, false)
		}
		w.walk(t.Elem(), nil, false)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			at := append(slices.Clone(index), i)
			if tag, ok := f.Tag.Lookup("memo"); ok {
				w.errs = append(w.errs, w.note(f, tag, at, one))
			}
			w.walk(f.Type, at, one)
		}
	}
}

func (w *tagWalk) note(f reflect.StructField, tag string, index []int, one bool) error {
	word, name, named := strings.Cut(tag, "=")
	if !named {
		name = strings.ToLower(f.Name[:1]) + f.Name[1:]
	}
	k := f.Type.Kind()
	switch {
	case word != "variant":
		return fmt.Errorf("field %s: tag memo:%q: want variant or variant=name", f.Name, tag)
	case !f.IsExported() || k != reflect.String && (k < reflect.Bool || k > reflect.Uint64):
		return fmt.Errorf("field %s: a variant is an exported string, integer or bool", f.Name)
	case !one:
		return fmt.Errorf("field %s: a variant cannot be behind a pointer, in a slice, an array or a map", f.Name)
	}
	w.names, w.fields = append(w.names, name), append(w.fields, index)
	return nil
}

// plain writes a bool, integer or string.
func plain(v reflect.Value) string {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

// join makes one string of values, of which split makes the values again. One value is itself, so that most calls allocate nothing.
func join(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	var b []byte
	for _, v := range values {
		b = appendText(b, 's', v)
	}
	return string(b)
}

func split(joined string, n int) []string {
	switch n {
	case 0:
		return nil
	case 1:
		return []string{joined}
	}
	values := make([]string, n)
	r := reader{rest: joined}
	for i := range values {
		values[i], _ = r.text('s') // join wrote it
	}
	return values
}
