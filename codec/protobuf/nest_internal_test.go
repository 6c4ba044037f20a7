package protobuf

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestOnlyMessagesThatCanNestAreWalked(t *testing.T) {
	t.Parallel()
	for m, want := range map[proto.Message]bool{
		&structpb.Value{}: true, &structpb.Struct{}: true, &descriptorpb.DescriptorProto{}: true,
		&descriptorpb.FieldOptions{}: true, // has extensions
		&timestamppb.Timestamp{}:     false, &wrapperspb.StringValue{}: false, &apipb.Mixin{}: false,
	} {
		if got := nests(m.ProtoReflect().Descriptor()); got != want {
			t.Errorf("%T: %t", m, got)
		}
	}
}
