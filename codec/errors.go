package codec

import (
	"errors"
	"fmt"
)

// A Reason says what was wrong with stored bytes. A cache counts its misses by it.
type Reason uint8

const (
	// ReasonTruncated: the bytes end before they are complete.
	ReasonTruncated Reason = iota + 1

	// ReasonChecksum: these are not the bytes that were written, or not for this key and record.
	ReasonChecksum

	// ReasonVersion: a program of another version wrote them.
	ReasonVersion

	// ReasonCodec: they are in another format, see [ID].
	ReasonCodec

	// ReasonSchema: they were made of a type of another structure.
	ReasonSchema

	// ReasonExtension: they mean nothing without an extension that is not understood here.
	ReasonExtension

	// ReasonTooLarge: they, or a part of them, exceed a limit of this package.
	ReasonTooLarge

	// ReasonHostile: they declare what no encoder writes, such as lengths beyond their end.
	ReasonHostile

	// ReasonPayload: the codec could not make a value of them.
	ReasonPayload

	// ReasonCompression: they are compressed, and cannot be decompressed here.
	ReasonCompression

	// ReasonKey: they are encrypted under a key that is not known here.
	ReasonKey

	// ReasonAuthentication: no holder of the key wrote them for this key and record.
	ReasonAuthentication

	// ReasonPlain: they are not encrypted, and everything has to be.
	ReasonPlain

	// NumReasons is the length that an array indexed by Reason needs.
	NumReasons
)

// String returns one lower-case word, fit for the label of a metric.
func (r Reason) String() string {
	switch r {
	case ReasonTruncated:
		return "truncated"
	case ReasonChecksum:
		return "checksum"
	case ReasonVersion:
		return "version"
	case ReasonCodec:
		return "codec"
	case ReasonSchema:
		return "schema"
	case ReasonExtension:
		return "extension"
	case ReasonTooLarge:
		return "too_large"
	case ReasonHostile:
		return "hostile"
	case ReasonPayload:
		return "payload"
	case ReasonCompression:
		return "compression"
	case ReasonKey:
		return "key"
	case ReasonAuthentication:
		return "authentication"
	case ReasonPlain:
		return "plain"
	}
	return "unknown"
}

// A DecodeError says why stored bytes are not a value. To a cache it is a miss. It never holds any of the bytes, so it
// can be logged: of the error that a format's library reported it keeps the type alone, since the texts of such errors
// quote what they could not read.
type DecodeError struct {
	Reason Reason
	Detail string // what was found, in words
}

func (e *DecodeError) Error() string {
	return "codec: decode: " + e.Reason.String() + ": " + e.Detail
}

func fail(r Reason, detail string) error { return &DecodeError{Reason: r, Detail: detail} }

// asDecodeError returns err, which who reports, as a DecodeError: for the reason r, unless it says another itself.
func asDecodeError(r Reason, who string, err error) error {
	var known *DecodeError
	if errors.As(err, &known) {
		return known
	}
	return fail(r, fmt.Sprintf("%s reports a %T", who, err))
}

// recovered turns a panic of decoding into an error: recover's value can quote payload, its type cannot.
func recovered(r any) error {
	return fail(ReasonPayload, fmt.Sprintf("the codec panicked with a %T", r))
}
