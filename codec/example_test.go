package codec_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/codec"
)

type Chair struct {
	Name string
	Legs int
}

// A value goes into the body of a record and comes back, and does not come back from another key.
func Example() {
	c := codec.MessagePack[Chair]()
	s := codec.Seal{Key: "chairs/{42}", Version: 1, Kind: 1, Token: [16]byte{1}}
	e := codec.Envelope{Created: time.Now(), Tags: []string{"brand:acme"}, Version: 7}

	body, err := codec.Encode(c, nil, &e, s, Chair{"stool", 3})
	if err != nil {
		fmt.Println(err)
	}
	v, got, err := codec.Decode(c, body, s)
	fmt.Println(v, got.Tags, got.Version, err)

	s.Key = "chairs/{43}"
	_, _, err = codec.Decode(c, body, s)
	var miss *codec.DecodeError
	fmt.Println(errors.As(err, &miss), miss.Reason)

	// Output:
	// {stool 3} [brand:acme] 7 <nil>
	// true checksum
}

// A negative envelope remembers that the source has no such value.
func ExampleDecode_negative() {
	s := codec.Seal{Key: "chairs/{44}"}
	body, _ := codec.Encode(codec.JSON[*Chair](), nil, &codec.Envelope{Negative: true}, s, nil)
	v, e, err := codec.Decode(codec.JSON[*Chair](), body, s)
	fmt.Println(v, e.Negative, err)
	// Output: <nil> true <nil>
}

// A codec appends, so that a value can follow other bytes without a copy.
func ExampleJSON() {
	b, err := codec.JSON[Chair]().Append([]byte("chair: "), Chair{"stool", 3})
	fmt.Println(string(b), err)
	// Output: chair: {"Name":"stool","Legs":3} <nil>
}

// Bytes that declare more than they have are refused before anything is made of them.
func ExampleMessagePack_hostile() {
	_, err := codec.MessagePack[[]int]().Decode([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01})
	fmt.Println(err)
	// Output: codec: decode: hostile: more elements than bytes
}
