package protobuf_test

import (
	"fmt"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/protobuf"
)

func ExampleNew() {
	c := protobuf.New[*wrapperspb.StringValue]()
	s := codec.Seal{Key: "names/1/{42}"}
	body, err := codec.Encode(c, nil, &codec.Envelope{}, s, wrapperspb.String("chair"))
	if err != nil {
		fmt.Println(err)
	}
	m, _, err := codec.Decode(c, body, s)
	fmt.Println(m.GetValue(), err)
	// Output: chair <nil>
}
