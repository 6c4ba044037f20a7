package codec

import (
	"encoding/json"
	"fmt"
)

// JSON encodes as package encoding/json does, with its struct tags and rules. Data after the value is refused, and so
// is a nesting deeper than that package allows.
//
// NOTE: JSON cannot hold everything. A string that is not UTF-8 comes back with U+FFFD in place of the bytes that are
// not, numbers in an interface come back as float64, and NaN and infinities cannot be encoded.
func JSON[V any]() Codec[V] { return jsonCodec[V]{schema: fingerprint[V](jsonDialect)} }

type jsonCodec[V any] struct{ schema uint64 }

func (jsonCodec[V]) Append(dst []byte, v V) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, fmt.Errorf("codec: json: encode %T: panic: %v", v, r)
		}
	}()
	b, err := json.Marshal(&v) // by its address: marshalers with a pointer receiver are skipped otherwise
	if err != nil {
		return dst, fmt.Errorf("codec: json: encode %T: %w", v, err)
	}
	return append(dst, b...), nil
}

func (jsonCodec[V]) Decode(b []byte) (v V, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = *new(V), recovered(r)
		}
	}()
	if len(b) == 0 {
		return v, fail(ReasonTruncated, "no payload")
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return *new(V), asDecodeError(ReasonPayload, "the codec", err)
	}
	return v, nil
}

func (jsonCodec[V]) ID() ID           { return IDJSON }
func (c jsonCodec[V]) Schema() uint64 { return c.schema }
