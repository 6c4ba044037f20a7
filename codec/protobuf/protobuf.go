package protobuf

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/codec"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// New returns the codec of M, which is a pointer to a generated message. The same message always gives the same bytes
// in one build of a program. For other types, such as *dynamicpb.Message, see [Of].
func New[M proto.Message]() codec.Codec[M] {
	var none M
	return Of(none)
}

// Of is New for messages of the type of prototype, where M does not say what that is: an interface, or a message whose type
// is made at run time. It keeps nothing of prototype but its type. If there is none, because prototype is nil and M does
// not tell, the codec's Append and Decode return an error that says so.
func Of[M proto.Message](prototype M) codec.Codec[M] {
	t := typeOf(prototype)
	if t == nil {
		return message[M]{}
	}
	return message[M]{typ: t, schema: schema(t.Descriptor().FullName()), nests: nests(t.Descriptor())}
}

// typeOf returns the type of m, nil if there is none.
func typeOf(m proto.Message) (t protoreflect.MessageType) {
	defer func() {
		if recover() != nil { // a nil message of a type that is made at run time
			t = nil
		}
	}()
	if m == nil {
		return nil
	}
	t = m.ProtoReflect().Type()
	t.Descriptor().FullName()
	return t
}

// schema is never 0, which means none.
func schema(name protoreflect.FullName) uint64 {
	sum := sha256.Sum256([]byte("protobuf 1 " + name))
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}

type message[M proto.Message] struct {
	typ    protoreflect.MessageType // nil: not known
	schema uint64
	nests  bool
}

func (message[M]) ID() codec.ID     { return codec.IDProtobuf }
func (c message[M]) Schema() uint64 { return c.schema }

func (c message[M]) Append(dst []byte, m M) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, fmt.Errorf("codec: protobuf: encode %T: panic: %v", m, r)
		}
	}()
	switch {
	case c.typ == nil:
		return dst, c.unknown()
	case any(m) == nil || !m.ProtoReflect().IsValid():
		return dst, fmt.Errorf("codec: protobuf: encode %T: nil is no message", m)
	case m.ProtoReflect().Descriptor().FullName() != c.typ.Descriptor().FullName():
		return dst, fmt.Errorf("codec: protobuf: encode a %v as a %v", m.ProtoReflect().Descriptor().FullName(), c.typ.Descriptor().FullName())
	case c.nests && tooDeep(m.ProtoReflect(), codec.MaxDepth):
		return dst, fmt.Errorf("codec: protobuf: encode %T: it nests deeper than %d messages, or for ever", m, codec.MaxDepth)
	}
	out, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("codec: protobuf: encode %T: %w", m, err)
	}
	return out, nil
}

// decodeDepth bounds the recursion of decoding. It counts map entries too, which codec.MaxDepth does not.
const decodeDepth = 2 * codec.MaxDepth

func (c message[M]) Decode(b []byte) (m M, err error) {
	var none M
	defer func() {
		if r := recover(); r != nil {
			m, err = none, &codec.DecodeError{Reason: codec.ReasonPayload, Detail: fmt.Sprintf("the codec panicked with a %T", r)}
		}
	}()
	if c.typ == nil {
		return none, c.unknown()
	}
	if len(b) > codec.MaxBody {
		return none, &codec.DecodeError{Reason: codec.ReasonTooLarge, Detail: "the payload exceeds the limit"}
	}
	m, ok := c.typ.New().Interface().(M)
	if !ok {
		return none, fmt.Errorf("codec: protobuf: a %v is no %T", c.typ.Descriptor().FullName(), m)
	}
	// Lazy decoding would keep b, and find what is wrong with it only later.
	options := proto.UnmarshalOptions{RecursionLimit: decodeDepth, NoLazyDecoding: true}
	if err := options.Unmarshal(b, m); err != nil {
		return none, err
	}
	return m, nil
}

func (message[M]) unknown() error {
	var m M
	return errors.Join(fmt.Errorf("codec: protobuf: %T does not say which message it is", m), errors.New("make the codec by protobuf.Of"))
}
