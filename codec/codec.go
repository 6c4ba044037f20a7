package codec

import "fmt"

// A Codec turns values of one type into bytes and back. Its methods are called concurrently.
type Codec[V any] interface {
	// Append appends the encoding of v to dst, which may be nil, and returns the longer slice. It leaves the bytes of
	// dst as they are, and keeps neither dst nor v. After an error the result means nothing.
	Append(dst []byte, v V) ([]byte, error)

	// Decode returns the value that b is the encoding of, the whole of b. It copies what it keeps of b, and fills a
	// fresh zero V. After an error the value means nothing. An error that is a [*DecodeError] says why; any other
	// counts as [ReasonPayload], as does a panic, when [Decode] calls it.
	//
	// b may be anything that somebody with access to the remote tier put there: a length in it must be compared with
	// what is left of b before it is believed.
	Decode(b []byte) (V, error)

	// ID names the format. It never changes.
	ID() ID

	// Schema is a fingerprint of the structure of V in this format, the same in every build and process: whoever has
	// another may not decode what this codec wrote. Zero is none, for formats that hold every V alike.
	Schema() uint64
}

// An ID names a format. It is stored with each value, so a number is never used for another format.
type ID uint8

// The formats of this package, and the range that is free.
const (
	IDBytes       ID = 1
	IDString      ID = 2
	IDMessagePack ID = 3
	IDJSON        ID = 4
	IDProtobuf    ID = 5 // of package codec/protobuf

	// IDApplication is the first of the numbers that applications may give to formats of their own.
	IDApplication ID = 128
)

func (id ID) String() string {
	switch id {
	case IDBytes:
		return "bytes"
	case IDString:
		return "string"
	case IDMessagePack:
		return "messagepack"
	case IDJSON:
		return "json"
	case IDProtobuf:
		return "protobuf"
	}
	return fmt.Sprintf("codec %d", uint8(id))
}
