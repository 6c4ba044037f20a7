package memo

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// A form says how values of one type, and of all types in it, are written as a key and read back. It is made once, when the function
// is, and not changed.
type form struct {
	shapes map[reflect.Type]shape // of all composite types
	direct bool                   // two values are the same for == if and only if the same is written for them; all can be written
}

// A shape is how a composite type is written.
type shape struct {
	text   bool    // by its MarshalText
	fields []field // of a struct, by name
}

type field struct {
	name  string
	index int
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	marshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	readerType    = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// formOf returns the form of t, or an *ArgumentError that says which part of it has none.
func formOf(t reflect.Type) (*form, error) {
	f := &form{shapes: map[reflect.Type]shape{}, direct: true}
	if err := f.study(t); err != nil {
		return nil, err
	}
	return f, nil
}

// study finds out how t is written: by what it is made of, if all of that can be seen, else by its text, if that can be read back.
// What a type is made of comes first because a text may leave something out, as one that hides a password does.
func (f *form) study(t reflect.Type) error {
	if _, ok := f.shapes[t]; ok {
		return nil // a type may hold itself
	}
	before := maps.Clone(f.shapes)
	err := f.look(t)
	if err == nil {
		return nil
	}
	f.shapes = before
	if p := reflect.PointerTo(t); p.Implements(marshalerType) && p.Implements(readerType) && !inherits(t) {
		f.shapes[t], f.direct = shape{text: true}, false
		return nil
	}
	return err
}

// inherits reports whether t may have its text from an embedded field, and says nothing of its others then.
func inherits(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if s := t.Field(i); s.Anonymous && (s.Type.Implements(marshalerType) || reflect.PointerTo(s.Type).Implements(marshalerType)) {
			return true
		}
	}
	return false
}

func (f *form) look(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		f.direct = false // 0 == -0, and NaN is not even itself
		return nil
	case reflect.Array:
		f.shapes[t] = shape{}
		return under("[]", f.study(t.Elem()))
	case reflect.Slice:
		f.shapes[t], f.direct = shape{}, false
		return under("[]", f.study(t.Elem()))
	case reflect.Pointer:
		f.shapes[t], f.direct = shape{}, false
		return under("*", f.study(t.Elem()))
	case reflect.Map:
		f.shapes[t], f.direct = shape{}, false
		if err := under("[key]", f.study(t.Key())); err != nil {
			return err
		}
		return under("[]", f.study(t.Elem()))
	case reflect.Struct:
		if t == timeType {
			f.shapes[t], f.direct = shape{}, false // its == is that of clocks and pointers
			return nil
		}
		return f.lookStruct(t)
	}
	return wrong("a %v has no form that stays the same", t)
}

func (f *form) lookStruct(t reflect.Type) error {
	var fields []field
	f.shapes[t] = shape{}
	for i := range t.NumField() {
		s := t.Field(i)
		if s.Name == "_" {
			continue // nobody can read it
		}
		if !s.IsExported() && !(s.Anonymous && s.Type.Kind() == reflect.Struct && s.Type != timeType) {
			return under("."+s.Name, wrong("not exported, and %v is no TextMarshaler and TextUnmarshaler", t))
		}
		if err := f.study(s.Type); err != nil {
			return under("."+s.Name, err)
		}
		if !s.IsExported() && f.shapes[s.Type].text {
			return under("."+s.Name, wrong("not exported, and has a text only"))
		}
		fields = append(fields, field{s.Name, i})
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	f.shapes[t] = shape{fields: fields}
	return nil
}

// An ArgumentError says which part of a function's arguments cannot be a part of a key, and why. New returns it for a type, and a
// call for a value.
type ArgumentError struct {
	Func string // the name of the cached function
	Path string // of the part within the arguments, as in Go; "" for all of them
	Err  error
}

func (e *ArgumentError) Error() string {
	return "memo: " + e.Func + ": argument" + e.Path + ": " + e.Err.Error()
}

func (e *ArgumentError) Unwrap() error { return e.Err }

func wrong(format string, args ...any) error {
	return &ArgumentError{Err: fmt.Errorf(format, args...)}
}

// under puts a step in front of the path of err.
func under(step string, err error) error {
	if a, ok := errors.AsType[*ArgumentError](err); ok {
		a.Path = step + a.Path
	}
	return err
}

// named puts the name of the function into err.
func named(name string, err error) error {
	if a, ok := errors.AsType[*ArgumentError](err); ok {
		a.Func = name
		return a
	}
	return err
}
