package codec

import (
	"fmt"
	"slices"
	"sync"
)

// A Format is all that decides what the body of a value is: the codec, and what happens between it and the remote tier. A
// payload is compressed first; then the whole envelope is encrypted, so that of it only the length can be seen. The
// methods are safe for concurrent use.
type Format[V any] struct {
	Codec Codec[V] // required

	// Compression makes payloads shorter. Nil: none, and compressed ones are misses. Payloads that are not compressed can
	// always be read.
	Compression Compressor

	// Encryption encrypts every body. Nil: none, and encrypted ones are misses. If it is set, bodies that are not
	// encrypted are misses too: nobody can put one in the place of another that was.
	Encryption Cipher

	// MaxBody bounds a body in bytes, as it is stored: a larger one is ErrTooLarge when writing and a miss when reading.
	// What a forged body can make a decoder allocate is a multiple of it (docs/codec.md). Default 0: the constant MaxBody,
	// which is also the most.
	MaxBody int
}

// Encode appends the body that holds v in e under s to dst, which may be nil. It fills in the codec, the schema and the
// payload itself, whatever e has there, and changes nothing of e but its Size. In a negative envelope v is not encoded.
// After an error dst is returned as it was; the bytes behind its length may have changed.
func (f Format[V]) Encode(dst []byte, e *Envelope, s Seal, v V) (body []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			body, err = dst, fmt.Errorf("codec: encode %T as %v: panic: %v", v, f.Codec.ID(), r)
		}
	}()
	if f.Encryption == nil {
		out, err := f.appendValue(dst, e, v)
		if err != nil {
			return dst, err
		}
		return f.sealed(dst, out, s)
	}
	plain := buffers.Get().(*[]byte)
	inner, err := f.appendValue((*plain)[:0], e, v)
	if err != nil {
		return dst, err
	}
	out, err := f.encrypted(dst, inner, s)
	keepBuffer(plain, inner)
	return out, err
}

// Decode returns the value and the envelope in body, if s is the seal under which they were made and the layers and the
// codec are those that made them. Of a negative envelope it returns the zero V. Any error is a [*DecodeError], and the
// value and the envelope mean nothing then.
//
// The envelope has the payload and the extensions as they were stored, and may alias body; the value does not.
func (f Format[V]) Decode(body []byte, s Seal) (v V, e Envelope, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, e, err = *new(V), Envelope{}, recovered(r)
		}
	}()
	if e, err = f.parse(body, s); err != nil {
		return v, Envelope{}, err
	}
	old, err := oldOf(f.Codec, &e)
	switch {
	case err != nil:
		return v, Envelope{}, err
	case e.Negative:
		return v, e, nil
	}
	payload := e.Payload
	if e.compressed() {
		if payload, err = f.decompress(payload); err != nil {
			return v, Envelope{}, err
		}
	}
	e.Size = len(payload)
	if old != nil {
		v, err = old(payload)
	} else {
		v, err = f.Codec.Decode(payload)
	}
	if err != nil {
		return *new(V), Envelope{}, asDecodeError(ReasonPayload, "the codec", err)
	}
	return v, e, nil
}

// Reseal appends to dst the body that is for the seal to what body is for the seal from, with an envelope that edit, if
// it is not nil, has changed. The payload stays as it was stored and is not decoded, so neither a codec nor a
// compressor of its writer is needed. What cannot be read is a [*DecodeError]. After an error dst is returned as it
// was.
func (f Format[V]) Reseal(dst, body []byte, from, to Seal, edit func(*Envelope)) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, recovered(r)
		}
	}()
	e, err := f.parse(body, from)
	if err != nil {
		return dst, err
	}
	if edit != nil {
		edit(&e)
	}
	if f.Encryption == nil {
		if out, err = appendEnvelope(dst, &e); err != nil {
			return dst, err
		}
		return f.sealed(dst, out, to)
	}
	inner, err := appendEnvelope(nil, &e)
	if err != nil {
		return dst, err
	}
	return f.encrypted(dst, inner, to)
}

// sealed completes out, dst with an envelope behind it, by its checksum.
func (f Format[V]) sealed(dst, out []byte, s Seal) ([]byte, error) {
	if len(out)-len(dst)+sumLen > f.maxBody() {
		return dst, tooLarge("body")
	}
	return appendSum(out, len(dst), s), nil
}

// encrypted appends to dst the body that is the encryption of inner, an envelope without its checksum.
func (f Format[V]) encrypted(dst, inner []byte, s Seal) ([]byte, error) {
	out, err := encrypt(f.Encryption, dst, inner, s)
	if err != nil {
		return dst, err
	}
	if len(out)-len(dst) > f.maxBody() {
		return dst, tooLarge("body")
	}
	return out, nil
}

func (f Format[V]) maxBody() int {
	if f.MaxBody > 0 {
		return min(f.MaxBody, MaxBody)
	}
	return MaxBody
}

// appendValue appends the envelope that holds v, without its checksum.
func (f Format[V]) appendValue(dst []byte, e *Envelope, v V) ([]byte, error) {
	if e.compressed() {
		return dst, fmt.Errorf("codec: encode %T as %v: the extension for compression is the format's own", v, f.Codec.ID())
	}
	head := *e
	head.Codec, head.Schema = f.Codec.ID(), f.Codec.Schema()
	out, err := appendHead(dst, &head)
	if err != nil {
		return dst, err
	}
	at := len(out)
	e.Size = 0
	if !e.Negative {
		if out, err = f.Codec.Append(out, v); err != nil {
			return dst, err
		}
		if len(out) < at {
			return dst, fmt.Errorf("codec: encode %T as %v: Append returned less than it was given", v, head.Codec)
		}
		e.Size = len(out) - at
		if f.Compression != nil {
			if out, at, err = f.compress(out, len(dst), at, &head); err != nil {
				return dst, err
			}
		}
	}
	if len(out)-len(dst) > MaxBody { // a payload's length has 4 bytes
		return dst, tooLarge("body")
	}
	setPayloadLen(out[len(dst):], len(out)-at)
	return out, nil
}

// compress replaces the envelope at start of b, whose payload begins at, by one whose payload is compressed, if that is
// shorter. It returns where its payload begins.
func (f Format[V]) compress(b []byte, start, at int, head *Envelope) (out []byte, payload int, err error) {
	buffer := buffers.Get().(*[]byte)
	small, ok := f.Compression.Compress((*buffer)[:0], b[at:])
	if ok && len(small)+extensionHead < len(b)-at {
		head.Extensions = withCompression(head.Extensions)
		if b, err = appendHead(b[:start], head); err != nil {
			return nil, 0, err
		}
		at = len(b)
		b = append(b, small...)
	}
	keepBuffer(buffer, small)
	return b, at, nil
}

func (f Format[V]) decompress(payload []byte) ([]byte, error) {
	if f.Compression == nil {
		return nil, fail(ReasonCompression, "compressed, and no compression is configured here")
	}
	payload, err := f.Compression.Decompress(payload)
	if err != nil {
		return nil, asDecodeError(ReasonCompression, "the compressor", err)
	}
	return payload, nil
}

// parse returns the envelope in body, decrypted but not decompressed.
func (f Format[V]) parse(body []byte, s Seal) (Envelope, error) {
	if len(body) > f.maxBody() {
		return Envelope{}, fail(ReasonTooLarge, "the body exceeds the limit")
	}
	if f.Encryption == nil {
		return ParseEnvelope(body, s, ExtensionCompression)
	}
	inner, err := decrypt(f.Encryption, body, s)
	if err != nil {
		return Envelope{}, err
	}
	return parseSealed(inner, ExtensionCompression)
}

// onlyCompressed is the extensions of an envelope that has no others.
var onlyCompressed = []Extension{{Type: ExtensionCompression, Critical: true}}

func withCompression(extensions []Extension) []Extension {
	if len(extensions) == 0 {
		return onlyCompressed
	}
	return append(slices.Clone(onlyCompressed), extensions...)
}

func (e *Envelope) compressed() bool {
	return len(e.Extensions) > 0 && e.Extensions[0].Type == ExtensionCompression
}

// buffers hold what lies between the steps of a call.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keepBuffer gives b, which grew out of *buffer, to the next call, unless it is large.
func keepBuffer(buffer *[]byte, b []byte) {
	if cap(b) <= keepBuffers {
		*buffer = b[:0]
		buffers.Put(buffer)
	}
}
