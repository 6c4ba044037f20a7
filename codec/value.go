package codec

import "fmt"

// Encode appends the body that holds v in e under s to dst, which may be nil: [AppendEnvelope] with a payload that c
// appends in place. It fills in the codec, the schema and the payload itself, whatever e has there, and leaves e as it
// is. In a negative envelope v is not encoded. After an error dst is returned as it was; the bytes behind its length
// may have changed.
func Encode[V any](c Codec[V], dst []byte, e *Envelope, s Seal, v V) (body []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			body, err = dst, fmt.Errorf("codec: encode %T as %v: panic: %v", v, c.ID(), r)
		}
	}()
	head := *e
	head.Codec, head.Schema = c.ID(), c.Schema()
	out, err := appendHead(dst, &head)
	if err != nil {
		return dst, err
	}
	at := len(out)
	if !e.Negative {
		if out, err = c.Append(out, v); err != nil {
			return dst, err
		}
		if len(out) < at {
			return dst, fmt.Errorf("codec: encode %T as %v: Append returned less than it was given", v, c.ID())
		}
	}
	if out, err = seal(out, len(dst), at, s); err != nil {
		return dst, err
	}
	return out, nil
}

// Decode returns the value and the envelope in body, if s is the seal under which they were made and c is of the codec
// and schema that made them. Of a negative envelope it returns the zero V. Any error is a [*DecodeError], and the
// value and the envelope mean nothing then.
//
// The envelope aliases body as that of [ParseEnvelope] does; the value does not.
func Decode[V any](c Codec[V], body []byte, s Seal) (v V, e Envelope, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, e, err = *new(V), Envelope{}, recovered(r)
		}
	}()
	e, err = ParseEnvelope(body, s)
	switch {
	case err != nil:
		return v, Envelope{}, err
	case e.Codec != c.ID():
		return v, Envelope{}, fail(ReasonCodec, "written as "+e.Codec.String()+", not "+c.ID().String())
	case e.Schema != c.Schema():
		return v, Envelope{}, fail(ReasonSchema, "made of a type of another structure")
	case e.Negative:
		return v, e, nil
	}
	v, err = c.Decode(e.Payload)
	if err != nil {
		return *new(V), Envelope{}, asDecodeError(err)
	}
	return v, e, nil
}
