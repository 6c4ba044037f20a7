package codec

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// keepBuffers is the largest payload after which a decoder, and the buffer in it, is kept for the next call.
const keepBuffers = 64 << 10

// MessagePack encodes by github.com/vmihailenco/msgpack, with its struct tags (`msgpack:"name,omitempty"`), integers in
// as few bytes as they need and times with their nanoseconds but not their zone. The keys of map[string]string,
// map[string]bool and map[string]any are sorted; maps of other types are written in random order.
//
// Before a payload is decoded it is walked once: every length that it declares must be there in full, nothing may
// follow it, and nothing may nest deeper than [MaxDepth]. Append refuses a value that Decode would refuse.
//
// NOTE: the library does not check ranges: 300 decodes into an int8 as 44, −1 into a uint64 as its largest. Nor does it
// miss a field that is absent. The schema is what guards against both: [Decode] compares it first, so a payload reaches
// a V only if the same structure wrote it. Whoever calls the codec's Decode directly has to do the same.
//
// NOTE: what an interface holds comes back as MessagePack has it: an integer as the smallest type that holds it, a
// struct as a map. Unexported fields, and the "intern" option, are not supported. A value that holds itself is an error,
// except where a type that encodes itself has a part in it: that overflows the stack.
func MessagePack[V any]() Codec[V] {
	return messagePack[V]{schema: fingerprint[V](messagePackDialect), nesting: newNesting[V](messagePackDialect)}
}

type messagePack[V any] struct {
	schema  uint64
	nesting *nesting // nil: values cannot nest
}

func (messagePack[V]) ID() ID           { return IDMessagePack }
func (c messagePack[V]) Schema() uint64 { return c.schema }

// An encoder is what Append keeps between calls.
type encoder struct {
	enc *msgpack.Encoder
	out appender
}

// An appender is a writer that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error)       { a.b = append(a.b, p...); return len(p), nil }
func (a *appender) WriteByte(c byte) error            { a.b = append(a.b, c); return nil }
func (a *appender) WriteString(s string) (int, error) { a.b = append(a.b, s...); return len(s), nil }

var encoders = sync.Pool{New: func() any { return &encoder{enc: msgpack.NewEncoder(nil)} }}

func (c messagePack[V]) Append(dst []byte, v V) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, fmt.Errorf("codec: messagepack: encode %T: panic: %v", v, r)
		}
	}()
	if c.nesting != nil && c.nesting.tooDeep(reflect.ValueOf(&v).Elem(), maxSteps) {
		return dst, fmt.Errorf("codec: messagepack: encode %T: it nests too deep, or holds itself", v)
	}
	e := encoders.Get().(*encoder)
	e.out.b = dst
	e.enc.Reset(&e.out)
	e.enc.SetSortMapKeys(true)
	e.enc.UseCompactInts(true)
	err = e.enc.Encode(&v) // by its address: marshalers with a pointer receiver fail otherwise
	out = e.out.b
	e.out.b = nil
	if err != nil {
		return dst, fmt.Errorf("codec: messagepack: encode %T: %w", v, err) // e may be half way through: not kept
	}
	encoders.Put(e)

	if len(out) < len(dst) {
		return dst, fmt.Errorf("codec: messagepack: encode %T: nothing was written", v)
	}
	s := scanner{b: out[len(dst):]}
	if err := s.scan(); err != nil {
		return dst, fmt.Errorf("codec: messagepack: encode %T: it could not be decoded again: %w", v, err)
	}
	return out, nil
}

// A decoder is what Decode keeps between calls.
type decoder struct {
	dec *msgpack.Decoder
	in  reader
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: msgpack.NewDecoder(nil)} }}

func (messagePack[V]) Decode(b []byte) (v V, err error) {
	d := decoders.Get().(*decoder)
	s := scanner{b: b, opaque: d.in.opaque[:0]}
	if err := s.scan(); err != nil {
		return v, err
	}
	// A decoder that failed is not kept: after an error inside a custom unmarshaler it goes on recording what it
	// reads. The library's own pool keeps such decoders, and preallocates values in goroutines that never end; this
	// is why it is not used.
	defer func() {
		if r := recover(); r != nil {
			v, err = *new(V), recovered(r)
		}
	}()
	d.in = reader{b: b, opaque: s.opaque}
	d.dec.Reset(&d.in)
	if err := d.dec.Decode(&v); err != nil {
		return *new(V), asDecodeError(ReasonPayload, "the codec", err)
	}
	if d.in.pos != len(b) {
		return *new(V), fail(ReasonPayload, "the value ends before the payload does")
	}
	if len(b) <= keepBuffers {
		d.in.b = nil
		decoders.Put(d)
	}
	return v, nil
}
