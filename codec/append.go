package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
)

// AppendEnvelope appends the body that holds e under s to dst, which may be nil. It keeps nothing of e. What exceeds a
// limit is an error, ErrTooLarge where it is a matter of bytes or number; dst is returned as it was then.
func AppendEnvelope(dst []byte, e *Envelope, s Seal) ([]byte, error) {
	out, err := appendEnvelope(dst, e)
	if err != nil {
		return dst, err
	}
	if len(out)-len(dst)+sumLen > MaxBody {
		return dst, tooLarge("body")
	}
	return appendSum(out, len(dst), s), nil
}

// appendEnvelope appends e without its checksum.
func appendEnvelope(dst []byte, e *Envelope) ([]byte, error) {
	if e.Negative && len(e.Payload) > 0 {
		return dst, fmt.Errorf("codec: envelope: negative, but with a payload")
	}
	if len(e.Payload) > MaxBody {
		return dst, tooLarge("payload")
	}
	out, err := appendHead(dst, e)
	if err != nil {
		return dst, err
	}
	setPayloadLen(out[len(dst):], len(e.Payload))
	return append(out, e.Payload...), nil
}

// appendHead appends all of e that stands before the payload. The payload's length is left for setPayloadLen.
func appendHead(dst []byte, e *Envelope) ([]byte, error) {
	if err := e.validate(); err != nil {
		return dst, err
	}
	var flags byte
	if e.Negative {
		flags |= flagNegative
	}
	dst = append(dst, EnvelopeVersion, flags, byte(e.Codec))
	dst = binary.BigEndian.AppendUint64(dst, e.Schema)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Created.UnixMilli()))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.SoftExpiry.UnixMilli()))
	dst = append(dst, e.Incarnation[:]...)
	dst = binary.BigEndian.AppendUint64(dst, e.Position)
	dst = binary.BigEndian.AppendUint64(dst, e.Version)
	dst = binary.BigEndian.AppendUint64(dst, e.JournalSeq)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Tags)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Extensions)))
	dst = append(dst, 0, 0, 0, 0)
	for _, tag := range e.Tags {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(tag)))
		dst = append(dst, tag...)
	}
	for _, x := range e.Extensions {
		dst = binary.BigEndian.AppendUint16(dst, uint16(x.Type))
		var critical byte
		if x.Critical {
			critical = flagCritical
		}
		dst = append(dst, critical)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(x.Value)))
		dst = append(dst, x.Value...)
	}
	return dst, nil
}

// setPayloadLen completes the head that envelope begins with.
func setPayloadLen(envelope []byte, n int) {
	binary.BigEndian.PutUint32(envelope[payloadAt:], uint32(n))
}

// appendSum completes the body that begins at start of b by its checksum.
func appendSum(b []byte, start int, s Seal) []byte {
	return binary.BigEndian.AppendUint64(b, s.sum(b[start:]))
}

// validate finds what the layout cannot hold.
func (e *Envelope) validate() error {
	if !fits(e.Created) || !fits(e.SoftExpiry) {
		return fmt.Errorf("codec: envelope: Created or SoftExpiry is too far away for milliseconds in 64 bits")
	}
	if len(e.Tags) > MaxTags {
		return tooLarge("number of tags")
	}
	for _, tag := range e.Tags {
		if len(tag) > MaxTag {
			return tooLarge("tag")
		}
	}
	if len(e.Extensions) > MaxExtensions {
		return tooLarge("number of extensions")
	}
	for i, x := range e.Extensions {
		if len(x.Value) > MaxExtension {
			return tooLarge("extension")
		}
		if x.Type == 0 || i > 0 && e.Extensions[i-1].Type >= x.Type {
			return fmt.Errorf("codec: envelope: extension types have to ascend from 1, each once")
		}
	}
	return nil
}

// fits reports whether t has a number of milliseconds.
func fits(t time.Time) bool {
	s := t.Unix()
	return s > math.MinInt64/1000 && s < math.MaxInt64/1000
}

func tooLarge(what string) error {
	return fmt.Errorf("codec: envelope: %s exceeds the limit: %w", what, sentinel.ErrTooLarge)
}
