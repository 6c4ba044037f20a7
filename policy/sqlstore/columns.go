package sqlstore

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A column is a column of the table and where its value is in a Go value.
type column struct {
	name     string
	field    string // as a program writes it, for errors
	index    []int  // of the field; empty: the value itself
	json     bool   // the field is encoded
	readOnly bool
}

var (
	typeTime    = reflect.TypeFor[time.Time]()
	typeBytes   = reflect.TypeFor[[]byte]()
	typeValuer  = reflect.TypeFor[driver.Valuer]()
	typeScanner = reflect.TypeFor[sql.Scanner]()
)

// columnsOf returns the columns that the fields of a struct are tagged with.
func columnsOf(t reflect.Type, p *problems) []column {
	var out []column
	seen := map[string]string{}
	var walk func(st reflect.Type, index []int)
	walk = func(st reflect.Type, index []int) {
		for i := range st.NumField() {
			f := st.Field(i)
			tag, tagged := f.Tag.Lookup("db")
			name, flags, _ := strings.Cut(tag, ",")
			at := fmt.Sprintf("%v.%s", t, f.Name)
			path := append(slices.Clone(index), i)
			switch {
			case tagged && name == "-" && flags == "":
			case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type != typeTime && !reflect.PointerTo(f.Type).Implements(typeScanner):
				walk(f.Type, path)
			case !tagged && !f.IsExported():
			case !tagged:
				p.add("field %s has no tag: name its column, as in `db:\"name\"`, or leave it out by `db:\"-\"`", at)
			case !f.IsExported():
				p.add("field %s is tagged and not exported", at)
			default:
				c := column{name: name, field: at, index: path}
				if why := badName(name); why != "" {
					p.add("field %s: the column's name %q %s", at, name, why)
				}
				if other, twice := seen[name]; twice {
					p.add("fields %s and %s have the same column %q", other, at, name)
				}
				seen[name] = at
				for _, flag := range strings.FieldsFunc(flags, func(r rune) bool { return r == ',' }) {
					switch flag {
					case "json":
						c.json = true
					case "readonly":
						c.readOnly = true
					default:
						p.add("field %s: no option %q: there are json and readonly", at, flag)
					}
				}
				if !c.json {
					if why := unfit(f.Type, c.readOnly); why != "" {
						p.add("field %s: %s", at, why)
					}
				}
				out = append(out, c)
			}
		}
	}
	walk(t, nil)
	return out
}

// unfit says why a column cannot be of type t.
func unfit(t reflect.Type, readOnly bool) string {
	scans, values := reflect.PointerTo(t).Implements(typeScanner), reflect.PointerTo(t).Implements(typeValuer)
	switch {
	case t == typeTime || scans && (values || readOnly):
		return ""
	case scans:
		return fmt.Sprintf("%v is a sql.Scanner and no driver.Valuer: it cannot be written, unless it is readonly", t)
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ""
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return ""
		}
	case reflect.Pointer:
		return unfit(t.Elem(), readOnly)
	}
	return fmt.Sprintf("%v is no type of a column: let it be a sql.Scanner and driver.Valuer, or tag it json", t)
}

// unfitKey says why a column of the key cannot be of type t.
func unfitKey(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || !t.Comparable() {
		return fmt.Sprintf("%v cannot be a key", t)
	}
	if reflect.PointerTo(t).Implements(typeScanner) && reflect.PointerTo(t).Implements(typeValuer) {
		return ""
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ""
	}
	return fmt.Sprintf("%v cannot be a key: integers and strings can, what is a sql.Scanner and driver.Valuer, and a struct of such fields with tags", t)
}

// in returns the column's place in row, which is addressable.
func (c *column) in(row reflect.Value) reflect.Value {
	if len(c.index) == 0 {
		return row
	}
	return row.FieldByIndex(c.index)
}

// arg returns what the column of row is for the driver.
func (c *column) arg(row reflect.Value) (any, error) {
	var value any
	var err error
	if c.json {
		value, err = jsonArg(c.in(row))
	} else {
		value, err = arg(c.in(row))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.field, hidden{err})
	}
	return value, nil
}

// dest returns what the driver fills for the column of row.
func (c *column) dest(row reflect.Value) any {
	p := c.in(row).Addr()
	switch {
	case c.json:
		return jsonDest{p.Elem()}
	case !p.Type().Implements(typeScanner) && p.Elem().Kind() == reflect.Slice:
		return p.Convert(reflect.PointerTo(typeBytes)).Interface() // a named type of bytes takes no string otherwise
	}
	return p.Interface()
}

func arg(f reflect.Value) (any, error) {
	if f.Kind() == reflect.Pointer && f.IsNil() {
		return nil, nil
	}
	if f.Type() == typeTime {
		return f.Interface(), nil
	}
	v, ok := f.Interface().(driver.Valuer)
	if !ok && f.CanAddr() {
		v, ok = f.Addr().Interface().(driver.Valuer)
	}
	if ok {
		value, err := v.Value()
		if err == nil && !driver.IsValue(value) {
			err = fmt.Errorf("%v.Value returned %T, which no driver knows", f.Type(), value)
		}
		return value, err
	}
	switch f.Kind() {
	case reflect.Pointer:
		return arg(f.Elem())
	case reflect.Bool:
		return f.Bool(), nil
	case reflect.String:
		return f.String(), nil
	case reflect.Float32, reflect.Float64:
		return f.Float(), nil
	case reflect.Slice:
		if f.IsNil() {
			return nil, nil
		}
		return f.Bytes(), nil
	}
	if f.CanInt() {
		return f.Int(), nil
	}
	if u := f.Uint(); u > 1<<63-1 {
		return u, nil // some drivers and databases take it
	}
	return int64(f.Uint()), nil
}

func jsonArg(f reflect.Value) (any, error) {
	switch f.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		if f.IsNil() {
			return nil, nil
		}
	}
	b, err := json.Marshal(f.Interface())
	return string(b), err // a string: MariaDB takes bytes for no JSON
}

// jsonDest decodes a column into a field.
type jsonDest struct{ field reflect.Value }

func (d jsonDest) Scan(src any) error {
	d.field.SetZero()
	switch src := src.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(src, d.field.Addr().Interface())
	case string:
		return json.Unmarshal([]byte(src), d.field.Addr().Interface())
	}
	return errors.New("neither text nor bytes")
}
