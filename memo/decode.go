package memo

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// errForm is for text that appendValue did not write.
var errForm = errors.New("memo: no such key")

// A reader reads back what appendValue wrote. What is not of that form is errForm.
type reader struct {
	*form
	rest  string
	depth int
}

// readValue sets v, which can be set and is zero.
func (r *reader) readValue(v reflect.Value) error {
	if r.depth++; r.depth > maxDepth+2 {
		return errForm
	}
	defer func() { r.depth-- }()
	t := v.Type()
	switch k := t.Kind(); k {
	case reflect.Bool:
		s, err := r.between("b:", ",")
		v.SetBool(s == "1")
		return errors.Join(err, only(s == "0" || s == "1"))
	case reflect.String:
		s, err := r.text('s')
		v.SetString(s)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s, err := r.between(tagOf[k], ",")
		n, wrong := strconv.ParseInt(s, 10, t.Bits())
		v.SetInt(n)
		return errors.Join(err, wrong)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s, err := r.between(tagOf[k], ",")
		n, wrong := strconv.ParseUint(s, 10, t.Bits())
		v.SetUint(n)
		return errors.Join(err, wrong)
	case reflect.Float32, reflect.Float64:
		s, err := r.between(fmt.Sprintf("f%d:", t.Bits()), ",")
		f, wrong := float(s, t.Bits())
		v.SetFloat(f)
		return errors.Join(err, wrong)
	case reflect.Complex64, reflect.Complex128:
		s, err := r.between(fmt.Sprintf("c%d:", t.Bits()), ",")
		if err != nil || len(s) != t.Bits()/4 {
			return errForm
		}
		re, wrongRe := float(s[:len(s)/2], t.Bits()/2)
		im, wrongIm := float(s[len(s)/2:], t.Bits()/2)
		v.SetComplex(complex(re, im))
		return errors.Join(wrongRe, wrongIm)
	}
	s := r.shapes[t]
	switch {
	case s.text:
		text, err := r.text('T')
		if err != nil {
			return err
		}
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	case t == timeType:
		return r.readTime(v)
	}
	switch t.Kind() {
	case reflect.Pointer:
		if r.skip("p-,") {
			return nil
		} else if !r.skip("p") {
			return errForm
		}
		v.Set(reflect.New(t.Elem()))
		return r.readValue(v.Elem())
	case reflect.Slice:
		return r.readSlice(v)
	case reflect.Array:
		return r.readArray(v)
	case reflect.Map:
		return r.readMap(v)
	}
	if !r.skip("(") {
		return errForm
	}
	for _, field := range s.fields {
		if !r.skip(field.name + "=") {
			return errForm
		}
		if err := r.readValue(v.Field(field.index)); err != nil {
			return err
		}
	}
	return only(r.skip(")"))
}

func (r *reader) readTime(v reflect.Value) error {
	s, err := r.between("t:", ".")
	sec, err1 := strconv.ParseInt(s, 10, 64)
	s, err2 := r.between("", ":")
	nsec, err3 := strconv.ParseInt(s, 10, 64)
	s, err4 := r.between("", ":")
	offset, err5 := strconv.Atoi(s)
	zone, err6 := r.counted()
	if err := errors.Join(err, err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	at := time.FixedZone(zone, offset)
	if zone == "UTC" && offset == 0 {
		at = time.UTC
	}
	v.Set(reflect.ValueOf(time.Unix(sec, nsec).In(at)))
	return nil
}

func (r *reader) readSlice(v reflect.Value) error {
	t := v.Type()
	if t.Elem().Kind() == reflect.Uint8 {
		if r.skip("y-,") {
			return nil
		}
		raw, err := r.raw('y')
		v.Set(reflect.MakeSlice(t, len(raw), len(raw)))
		copyBytes(v, raw)
		return err
	}
	if r.skip("l-,") {
		return nil
	}
	n, err := r.open("l")
	if err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(t, n, n))
	return r.readAll(v)
}

func (r *reader) readArray(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		raw, err := r.raw('Y')
		if err != nil || len(raw) != v.Len() {
			return errForm
		}
		copyBytes(v, raw)
		return nil
	}
	if n, err := r.open("a"); err != nil || n != v.Len() {
		return errForm
	}
	return r.readAll(v)
}

func copyBytes(v reflect.Value, raw []byte) {
	for i, b := range raw {
		v.Index(i).SetUint(uint64(b))
	}
}

func (r *reader) readAll(v reflect.Value) error {
	for i := range v.Len() {
		if err := r.readValue(v.Index(i)); err != nil {
			return err
		}
	}
	return only(r.skip(")"))
}

func (r *reader) readMap(v reflect.Value) error {
	if r.skip("m-,") {
		return nil
	}
	n, err := r.open("m")
	if err != nil {
		return err
	}
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, n))
	for range n {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := errors.Join(r.readValue(key), r.readValue(value)); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return only(r.skip(")"))
}

func only(ok bool) error {
	if !ok {
		return errForm
	}
	return nil
}

func float(hex string, bits int) (float64, error) {
	n, err := strconv.ParseUint(hex, 16, bits)
	if bits == 32 {
		return float64(math.Float32frombits(uint32(n))), err
	}
	return math.Float64frombits(n), err
}

// skip goes on behind prefix, if that is next.
func (r *reader) skip(prefix string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, prefix)
	return ok
}

// between returns what is between prefix and the next end, and goes on behind it.
func (r *reader) between(prefix, end string) (s string, err error) {
	ok := r.skip(prefix)
	if ok {
		s, r.rest, ok = strings.Cut(r.rest, end)
	}
	return s, only(ok)
}

// text reads what appendText wrote.
func (r *reader) text(tag byte) (string, error) {
	if !r.skip(string(tag)) {
		return "", errForm
	}
	return r.counted()
}

func (r *reader) counted() (string, error) {
	size, err := r.between("", ":")
	n, wrong := strconv.Atoi(size)
	if err != nil || wrong != nil || n < 0 || n >= len(r.rest) || r.rest[n] != ',' {
		return "", errForm
	}
	s := r.rest[:n]
	r.rest = r.rest[n+1:]
	return s, nil
}

func (r *reader) raw(tag byte) ([]byte, error) {
	s, err := r.text(tag)
	if err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.DecodeString(s)
}

// open reads the beginning of what has elements, each of which takes at least two bytes.
func (r *reader) open(tag string) (int, error) {
	size, err := r.between(tag, "(")
	n, wrong := strconv.Atoi(size)
	if err != nil || wrong != nil || n < 0 || n > len(r.rest) {
		return 0, errForm
	}
	return n, nil
}
