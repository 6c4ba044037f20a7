package protobuf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/codectest"
	"github.com/strata-cache/strata/codec/protobuf"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func equal[M proto.Message](a, b M) bool { return proto.Equal(a, b) }

func reasonOf(err error) codec.Reason {
	if d, ok := errors.AsType[*codec.DecodeError](err); ok {
		return d.Reason
	}
	return 0
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func structs() []*structpb.Struct {
	return []*structpb.Struct{
		{},
		must(structpb.NewStruct(map[string]any{"name": "chair", "price": 49.5, "tags": []any{"wood", nil, true}})),
		must(structpb.NewStruct(map[string]any{"a": map[string]any{"b": map[string]any{"c": strings.Repeat("é", 300)}}})),
	}
}

// product returns the descriptor of a message with these fields, as a later version of a program may have more of them.
func product(t testing.TB, fields ...string) protoreflect.MessageDescriptor {
	t.Helper()
	message := &descriptorpb.DescriptorProto{Name: proto.String("Product")}
	for i, name := range fields {
		message.Field = append(message.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), Number: proto.Int32(int32(i + 1)), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("shop.proto"), Package: proto.String("shop"), Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{message},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

func dynamic(d protoreflect.MessageDescriptor, values ...string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(d)
	for i, v := range values {
		m.Set(d.Fields().Get(i), protoreflect.ValueOfString(v))
	}
	return m
}

func TestCodec(t *testing.T) {
	t.Parallel()
	d := product(t, "name", "brand")
	t.Run("of generated messages", func(t *testing.T) { codectest.Run(t, protobuf.New[*structpb.Struct](), structs(), equal) })
	t.Run("of times", func(t *testing.T) {
		values := []*timestamppb.Timestamp{{}, timestamppb.New(time.Unix(1700000000, 5)), {Seconds: -1}}
		codectest.Run(t, protobuf.New[*timestamppb.Timestamp](), values, equal)
	})
	t.Run("of bytes", func(t *testing.T) {
		values := []*wrapperspb.BytesValue{{}, wrapperspb.Bytes([]byte{0, 1}), wrapperspb.Bytes(bytes.Repeat([]byte("x"), 500))}
		codectest.Run(t, protobuf.New[*wrapperspb.BytesValue](), values, equal)
	})
	t.Run("of messages made at run time", func(t *testing.T) {
		values := []*dynamicpb.Message{dynamic(d), dynamic(d, "chair"), dynamic(d, "chair", "acme")}
		codectest.Run(t, protobuf.Of(dynamicpb.NewMessage(d)), values, func(a, b *dynamicpb.Message) bool {
			return a == nil && b == nil || a != nil && b != nil && proto.Equal(a, b)
		})
	})
	t.Run("of an interface", func(t *testing.T) {
		values := []proto.Message{&wrapperspb.Int64Value{}, wrapperspb.Int64(-1)}
		codectest.Run(t, protobuf.Of[proto.Message](&wrapperspb.Int64Value{}), values, equal)
	})
}

func TestTheSameMessageIsTheSameBytes(t *testing.T) {
	t.Parallel()
	c, m := protobuf.New[*structpb.Struct](), structs()[1]
	first := must(c.Append(nil, m))
	for range 50 {
		if again := must(c.Append(nil, m)); !bytes.Equal(first, again) {
			t.Fatalf("%x, then %x", first, again)
		}
	}
}

// The schemas change only if stored messages may no longer be decoded: they cost every cache all its values.
func TestTheSchemaIsTheName(t *testing.T) {
	t.Parallel()
	if got := protobuf.New[*wrapperspb.StringValue]().Schema(); got != 0x114cd78c34f982c7 {
		t.Errorf("%#x", got)
	}
	before, after := product(t, "name"), product(t, "name", "brand")
	if protobuf.Of(dynamicpb.NewMessage(before)).Schema() != protobuf.Of(dynamicpb.NewMessage(after)).Schema() {
		t.Error("a new field changed the schema")
	}
	if protobuf.New[*wrapperspb.Int64Value]().Schema() == protobuf.New[*wrapperspb.UInt64Value]().Schema() {
		t.Error("two messages share a schema")
	}
}

func TestOldAndNewProgramsReadEachOther(t *testing.T) {
	t.Parallel()
	before, after := product(t, "name"), product(t, "name", "brand")
	oldCodec, newCodec := protobuf.Of(dynamicpb.NewMessage(before)), protobuf.Of(dynamicpb.NewMessage(after))
	s := codec.Seal{Key: "products/1/{42}"}

	body := must(codec.Encode(oldCodec, nil, &codec.Envelope{}, s, dynamic(before, "chair")))
	got, _, err := codec.Decode(newCodec, body, s)
	if err != nil || !proto.Equal(got, dynamic(after, "chair")) {
		t.Errorf("new reads old: %v, %v", got, err)
	}
	body = must(codec.Encode(newCodec, nil, &codec.Envelope{}, s, dynamic(after, "chair", "acme")))
	got, _, err = codec.Decode(oldCodec, body, s)
	if err != nil || got.Get(before.Fields().Get(0)).String() != "chair" {
		t.Errorf("old reads new: %v, %v", got, err)
	}
	// What it does not know it keeps.
	body = must(codec.Encode(oldCodec, nil, &codec.Envelope{}, s, got))
	if got, _, err = codec.Decode(newCodec, body, s); err != nil || !proto.Equal(got, dynamic(after, "chair", "acme")) {
		t.Errorf("old writes what it read: %v, %v", got, err)
	}
}

func TestWhatIsNoMessageIsAnError(t *testing.T) {
	t.Parallel()
	if b, err := protobuf.New[*structpb.Struct]().Append([]byte("x"), nil); err == nil || string(b) != "x" {
		t.Errorf("nil: %q, %v", b, err)
	}
	if _, err := protobuf.Of[proto.Message](&structpb.Struct{}).Append(nil, &structpb.Value{}); err == nil {
		t.Error("another message was encoded")
	}
	for name, c := range map[string]codec.Codec[proto.Message]{"an interface": protobuf.New[proto.Message]()} {
		if _, err := c.Append(nil, &structpb.Struct{}); err == nil || !strings.Contains(err.Error(), "protobuf.Of") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Decode(nil); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	c := protobuf.New[*dynamicpb.Message]()
	if _, err := c.Decode(nil); err == nil {
		t.Error("a message made at run time, of no type: decoded")
	}
}

// nested returns a value of lists in lists.
func nested(levels int) *structpb.Value {
	v := structpb.NewNullValue()
	for range levels {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	return v
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	c := protobuf.New[*structpb.Value]()
	fits := nested(codec.MaxDepth/2 - 1) // each level is a Value and a ListValue
	if got, err := c.Decode(must(c.Append(nil, fits))); err != nil || !proto.Equal(got, fits) {
		t.Errorf("within the limit: %v", err)
	}
	if _, err := c.Append(nil, nested(codec.MaxDepth/2)); err == nil {
		t.Error("beyond the limit: encoded")
	}
	cycle := &structpb.Value{}
	cycle.Kind = &structpb.Value_ListValue{ListValue: &structpb.ListValue{Values: []*structpb.Value{cycle}}}
	if _, err := c.Append(nil, cycle); err == nil {
		t.Error("a cycle was encoded")
	}
	object := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	object.Fields["self"] = structpb.NewStructValue(object)
	if _, err := protobuf.New[*structpb.Struct]().Append(nil, object); err == nil {
		t.Error("a cycle through a map was encoded")
	}
	var hostile []byte
	for range 100_000 {
		hostile = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), hostile) // of a ListValue
		hostile = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), hostile) // of a Value
		if len(hostile) > 4096 {
			break
		}
	}
	if _, err := c.Decode(hostile); err == nil {
		t.Error("a hostile depth was decoded")
	}
}

func TestErrorsNeverQuoteThePayload(t *testing.T) {
	t.Parallel()
	s := codec.Seal{}
	body := must(codec.AppendEnvelope(nil, &codec.Envelope{
		Codec: codec.IDProtobuf, Schema: protobuf.New[*anypb.Any]().Schema(), Payload: []byte("\x0a\x06secre\xff"),
	}, s))
	if _, _, err := codec.Decode(protobuf.New[*anypb.Any](), body, s); reasonOf(err) != codec.ReasonPayload || strings.Contains(err.Error(), "secre") {
		t.Error(err)
	}
}

// FuzzDecode checks that nothing panics, and that what was decoded can be encoded and decoded again.
func FuzzDecode(f *testing.F) {
	c := protobuf.New[*structpb.Struct]()
	for _, s := range structs() {
		f.Add(must(c.Append(nil, s)))
	}
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := c.Decode(b)
		if err != nil {
			if m != nil {
				t.Fatalf("%v and %v", m, err)
			}
			return
		}
		again, err := c.Append(nil, m)
		if err != nil {
			return // too deep
		}
		if got, err := c.Decode(again); err != nil || !proto.Equal(got, m) && !strings.Contains(m.String(), "nan") {
			t.Fatalf("%x decodes as %v, and again as %v, %v", b, m, got, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	c, m := protobuf.New[*structpb.Struct](), structs()[1]
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(dst, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c := protobuf.New[*structpb.Struct]()
	in := must(c.Append(nil, structs()[1]))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}
