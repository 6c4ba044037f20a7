// Package codectest is the contract of codec.Codec as tests. Every codec runs it; a codec of your own should too:
//
//	func TestProtobuf(t *testing.T) {
//		codectest.Run(t, mycodec.Protobuf[*pb.Product](), products, proto.Equal)
//	}
package codectest

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/strata-cache/strata/codec"
)

// A rule is one sentence of the contract. Its text is printed when it is broken.
type rule[V any] struct {
	name string
	text string
	test func(t *testing.T, s suite[V])
}

type suite[V any] struct {
	codec  codec.Codec[V]
	values []V
	equal  func(a, b V) bool
}

// Run tests c with values, which should hold the zero V, small and large values, and no two that are equal.
func Run[V any](t *testing.T, c codec.Codec[V], values []V, equal func(a, b V) bool) {
	t.Helper()
	s := suite[V]{codec: c, values: values, equal: equal}
	for _, r := range rules[V]() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the contract: %s", r.text)
				}
			})
			r.test(t, s)
		})
	}
}

func rules[V any]() []rule[V] {
	return []rule[V]{
		{"round trip", "what was decoded equals what was encoded", roundTrip[V]},
		{"prefix", "Append leaves the bytes of dst as they are and appends the same as to nil, with or without room", prefix[V]},
		{"identity", "ID is not zero, and ID and Schema never change", identity[V]},
		{"fresh", "Decode returns the same whatever was decoded before it", fresh[V]},
		{"aliasing", "a decoded value shares no memory with the bytes it came from", aliasing[V]},
		{"owned", "what Append returned belongs to the caller: writing to it changes no value and no later encoding", owned[V]},
		{"input", "Decode does not change its input", input[V]},
		{"truncated", "bytes cut short are an error or another value, never the value that was encoded", truncated[V]},
		{"trailing", "bytes with something behind them are an error or another value, never the value that was encoded", trailing[V]},
		{"hostile", "Decode never panics, and an error comes without a value", hostile[V]},
		{"concurrent", "Append and Decode may be called concurrently", concurrent[V]},
	}
}

func roundTrip[V any](t *testing.T, s suite[V]) {
	for i, v := range s.values {
		s.decodesTo(t, i, s.encode(t, nil, v))
	}
}

func prefix[V any](t *testing.T, s suite[V]) {
	for i, v := range s.values {
		alone := s.encode(t, nil, v)
		for _, room := range []int{0, len(alone) + 100} {
			want := []byte("prefix")
			dst := append(make([]byte, 0, len(want)+room), want...)
			got := s.encode(t, dst, v)
			if !bytes.HasPrefix(got, want) || string(dst) != string(want) {
				t.Fatalf("value %d, room for %d: the prefix %q became %q", i, room, want, got)
			}
			s.decodesTo(t, i, got[len(want):])
		}
	}
}

func identity[V any](t *testing.T, s suite[V]) {
	id, schema := s.codec.ID(), s.codec.Schema()
	if id == 0 {
		t.Error("ID: 0")
	}
	for _, v := range s.values {
		s.encode(t, nil, v)
	}
	if s.codec.ID() != id || s.codec.Schema() != schema {
		t.Errorf("ID and Schema: %v, %x, then %v, %x", id, schema, s.codec.ID(), s.codec.Schema())
	}
}

func fresh[V any](t *testing.T, s suite[V]) {
	encoded := s.encodeAll(t)
	for _, before := range encoded {
		for i, b := range encoded {
			s.codec.Decode(before)
			s.decodesTo(t, i, b)
			s.codec.Decode(before[:len(before)/2]) // may fail, and must leave nothing behind
			s.decodesTo(t, i, b)
		}
	}
}

func aliasing[V any](t *testing.T, s suite[V]) {
	for i, v := range s.values {
		b := s.encode(t, nil, v)
		got, err := s.codec.Decode(b)
		if err != nil {
			t.Fatalf("value %d: Decode: %v", i, err)
		}
		for j := range b {
			b[j] ^= 0xff
		}
		if !s.equal(got, v) {
			t.Errorf("value %d changed with the bytes it came from: %v", i, got)
		}
	}
}

func owned[V any](t *testing.T, s suite[V]) {
	for i, v := range s.values {
		b := s.encode(t, nil, v)
		b = b[:cap(b)]
		for j := range b {
			b[j] ^= 0xff
		}
		s.decodesTo(t, i, s.encode(t, nil, v))
	}
}

func input[V any](t *testing.T, s suite[V]) {
	for i, v := range s.values {
		b := s.encode(t, nil, v)
		before := slices.Clone(b)
		s.codec.Decode(b)
		if !bytes.Equal(b, before) {
			t.Errorf("value %d: Decode changed its input", i)
		}
	}
}

func truncated[V any](t *testing.T, s suite[V]) {
	for i, b := range s.encodeAll(t) {
		for n := range b {
			if got, err := s.codec.Decode(b[:n:n]); err == nil && s.equal(got, s.values[i]) {
				t.Errorf("value %d: %d of %d bytes decode to it", i, n, len(b))
			}
		}
	}
}

func trailing[V any](t *testing.T, s suite[V]) {
	for i, b := range s.encodeAll(t) {
		for _, tail := range []string{"\x00", "\xc0", "\xc1", "0", "null"} {
			if got, err := s.codec.Decode(append(slices.Clone(b), tail...)); err == nil && s.equal(got, s.values[i]) {
				t.Errorf("value %d, followed by %q, decodes to it", i, tail)
			}
		}
	}
}

func hostile[V any](t *testing.T, s suite[V]) {
	inputs := [][]byte{nil, {}, []byte("["), bytes.Repeat([]byte{0x91}, 1<<20), bytes.Repeat([]byte("["), 1<<20)}
	for c := range 256 {
		inputs = append(inputs, []byte{byte(c)}, []byte{byte(c), 0xff, 0xff, 0xff, 0xff, 1})
	}
	for _, b := range s.encodeAll(t) {
		for i := range min(len(b), 256) {
			for bit := range 8 {
				flipped := slices.Clone(b)
				flipped[i] ^= 1 << bit
				inputs = append(inputs, flipped)
			}
		}
	}
	for _, b := range inputs {
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("Decode of %x: panic: %v", b[:min(len(b), 32)], r)
				}
			}()
			if got, err := s.codec.Decode(b); err != nil && !s.equal(got, *new(V)) {
				t.Errorf("Decode of %x: a value and %v", b[:min(len(b), 32)], err)
			}
		}()
	}
}

func concurrent[V any](t *testing.T, s suite[V]) {
	var all sync.WaitGroup // joined below
	for range 8 {
		all.Go(func() {
			for i, v := range s.values {
				b, err := s.codec.Append(nil, v)
				if err != nil {
					t.Errorf("value %d: Append: %v", i, err)
					return
				}
				if got, err := s.codec.Decode(b); err != nil || !s.equal(got, v) {
					t.Errorf("value %d: decoded as %v, %v", i, got, err)
				}
			}
		})
	}
	all.Wait()
}

func (s suite[V]) encode(t *testing.T, dst []byte, v V) []byte {
	t.Helper()
	b, err := s.codec.Append(dst, v)
	if err != nil {
		t.Fatalf("Append %v: %v", v, err)
	}
	return b
}

func (s suite[V]) encodeAll(t *testing.T) (encoded [][]byte) {
	t.Helper()
	for _, v := range s.values {
		encoded = append(encoded, s.encode(t, nil, v))
	}
	return encoded
}

// decodesTo fails t unless b decodes to the value of index i.
func (s suite[V]) decodesTo(t *testing.T, i int, b []byte) {
	t.Helper()
	got, err := s.codec.Decode(b)
	if err != nil {
		t.Fatalf("value %d: Decode: %v", i, err)
	}
	if !s.equal(got, s.values[i]) {
		t.Fatalf("value %d: decoded as %v, want %v", i, got, s.values[i])
	}
}
