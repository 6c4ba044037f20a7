package memo

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// What is written is text that can be read back, and in which nothing is the beginning of anything else:
//
//	bool        b:0,  b:1,
//	integer     i:-5,  i64:-5,  u8:5,           of int, int64, uint8 and so on: the kind, and decimal digits
//	float       f64:3ff8000000000000,           its bits; every NaN is 7ff8000000000000
//	complex     c128:3ff8…4000…,                both parts
//	string      s3:EUR,                         with the number of its bytes
//	[]byte      y4:AQID,  y-,                   base64 without padding; nil
//	[3]byte     Y4:AQID,
//	pointer     p and what it points to, p-,    nil
//	slice       l2(…)  l0()  l-,                with the number of elements; nil
//	array       a2(…)
//	map         m2(…)  m0()  m-,                keys with their values, sorted by what is written for the keys
//	struct      (Name=…Name=…)                  fields sorted by name
//	time.Time   t:1700000000.5:3600:3:CET,      seconds since 1970, nanoseconds, seconds east of UTC, the zone's abbreviation
//	a text      T9:127.0.0.1,                   of what can be seen only so
//
// testdata/keys.golden has them all. None may change: caches of another build would be lost, or worse.

const (
	maxDepth = 1000    // of values within each other
	maxSize  = 1 << 16 // bytes of what is written, where == does not do
	longest  = 128     // bytes of a key that is not shortened
)

// write writes v behind b.
func (f *form) write(b []byte, v reflect.Value) ([]byte, error) {
	b, err := f.appendValue(b, v, 0)
	if err == nil {
		err = f.fits(len(b))
	}
	return b, err
}

func (f *form) fits(size int) error {
	if size > maxSize && !f.direct {
		return wrong("more than %d bytes when it is written", maxSize)
	}
	return nil
}

func (f *form) appendValue(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, wrong("nested more than %d deep, or within itself", maxDepth)
	}
	if err := f.fits(len(b)); err != nil {
		return nil, err
	}
	t := v.Type()
	k := t.Kind()
	switch k {
	case reflect.Bool:
		if v.Bool() {
			return append(b, "b:1,"...), nil
		}
		return append(b, "b:0,"...), nil
	case reflect.String:
		return appendText(b, 's', v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return append(strconv.AppendInt(append(b, tagOf[k]...), v.Int(), 10), ','), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return append(strconv.AppendUint(append(b, tagOf[k]...), v.Uint(), 10), ','), nil
	case reflect.Float64:
		return append(append64(append(b, "f64:"...), v.Float()), ','), nil
	case reflect.Float32:
		return append(append32(append(b, "f32:"...), v.Float()), ','), nil
	case reflect.Complex128:
		c := v.Complex()
		return append(append64(append64(append(b, "c128:"...), real(c)), imag(c)), ','), nil
	case reflect.Complex64:
		c := v.Complex()
		return append(append32(append32(append(b, "c64:"...), real(c)), imag(c)), ','), nil
	}
	s := f.shapes[t]
	if s.text {
		return appendMarshaled(b, v)
	}
	switch k {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "p-,"...), nil
		}
		b, err := f.appendValue(append(b, 'p'), v.Elem(), depth+1)
		return b, under("*", err)
	case reflect.Slice:
		bytes := t.Elem().Kind() == reflect.Uint8
		switch {
		case v.IsNil() && bytes:
			return append(b, "y-,"...), nil
		case v.IsNil():
			return append(b, "l-,"...), nil
		case bytes:
			return appendText(b, 'y', base64.RawURLEncoding.EncodeToString(v.Bytes())), nil
		}
		return f.appendAll(b, 'l', v, depth)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			raw := make([]byte, v.Len())
			for i := range raw {
				raw[i] = byte(v.Index(i).Uint())
			}
			return appendText(b, 'Y', base64.RawURLEncoding.EncodeToString(raw)), nil
		}
		return f.appendAll(b, 'a', v, depth)
	case reflect.Map:
		return f.appendMap(b, v, depth)
	}
	if t == timeType {
		return appendTime(b, v.Interface().(time.Time)), nil
	}
	b = append(b, '(')
	for _, field := range s.fields {
		var err error
		b = append(append(b, field.name...), '=')
		if b, err = f.appendValue(b, v.Field(field.index), depth+1); err != nil {
			return nil, under("."+field.name, err)
		}
	}
	return append(b, ')'), nil
}

var tagOf = [...]string{
	reflect.Int: "i:", reflect.Int8: "i8:", reflect.Int16: "i16:", reflect.Int32: "i32:", reflect.Int64: "i64:",
	reflect.Uint: "u:", reflect.Uint8: "u8:", reflect.Uint16: "u16:", reflect.Uint32: "u32:", reflect.Uint64: "u64:",
}

// append64 writes the bits of f, which are the same for every NaN.
func append64(b []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if f != f {
		bits = 0x7ff8 << 48
	}
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], bits)
	return hex.AppendEncode(b, raw[:])
}

// append32 does the same for a float32.
func append32(b []byte, f float64) []byte {
	bits := math.Float32bits(float32(f))
	if f != f {
		bits = 0x7fc0 << 16
	}
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], bits)
	return hex.AppendEncode(b, raw[:])
}

func appendText[S string | []byte](b []byte, tag byte, s S) []byte {
	b = strconv.AppendInt(append(b, tag), int64(len(s)), 10)
	b = append(append(b, ':'), s...)
	return append(b, ',')
}

// appendTime writes the moment and what a clock on the wall showed.
func appendTime(b []byte, t time.Time) []byte {
	zone, offset := t.Zone()
	b = fmt.Appendf(b, "t:%d.%d:%d:%d:", t.Unix(), t.Nanosecond(), offset, len(zone))
	return append(append(b, zone...), ',')
}

// appendMarshaled writes the text of v, which may be defined on a pointer to it.
func appendMarshaled(b []byte, v reflect.Value) ([]byte, error) {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	text, err := p.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return nil, wrong("its text: %w", err)
	}
	return appendText(b, 'T', text), nil
}

func (f *form) appendAll(b []byte, tag byte, v reflect.Value, depth int) ([]byte, error) {
	n := v.Len()
	b = append(strconv.AppendInt(append(b, tag), int64(n), 10), '(')
	for i := range n {
		var err error
		if b, err = f.appendValue(b, v.Index(i), depth+1); err != nil {
			return nil, under("["+strconv.Itoa(i)+"]", err)
		}
	}
	return append(b, ')'), nil
}

func (f *form) appendMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(b, "m-,"...), nil
	}
	type pair struct{ key, value []byte }
	pairs := make([]pair, 0, v.Len())
	size := len(b)
	for all := v.MapRange(); all.Next(); {
		if !all.Key().Equal(all.Key()) {
			return nil, under("[key]", wrong("NaN: the value at it cannot be found"))
		}
		key, err := f.appendValue(nil, all.Key(), depth+1)
		if err != nil {
			return nil, under("[key]", err)
		}
		value, err := f.appendValue(nil, all.Value(), depth+1)
		if err != nil {
			return nil, under("[]", err)
		}
		size += len(key) + len(value)
		if err := f.fits(size); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{key, value})
	}
	slices.SortFunc(pairs, func(p, q pair) int { return bytes.Compare(p.key, q.key) })
	b = append(strconv.AppendInt(append(b, 'm'), int64(len(pairs)), 10), '(')
	for i, p := range pairs {
		if i > 0 && bytes.Equal(p.key, pairs[i-1].key) {
			return nil, under("[key]", wrong("two keys are written alike: %.40q", p.key))
		}
		b = append(append(b, p.key...), p.value...)
	}
	return append(b, ')'), nil
}

// shorten returns s, or a '#' and the SHA-256 of s if that is too long for a key. Nothing that is written begins with '#', and nobody
// knows two texts of one SHA-256, so different ones stay different.
func shorten(s string) string {
	if len(s) <= longest {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}
