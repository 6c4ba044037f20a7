package compression_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
)

// A format compresses what its codec makes of a value, where that is long enough, and what is compressed says so itself.
func Example() {
	c, err := compression.New(&compression.Options{Algorithm: compression.Zstd})
	if err != nil {
		fmt.Println(err)
		return
	}
	format := codec.Format[string]{Codec: codec.String(), Compression: c}
	seal := codec.Seal{Key: "texts/1/{42}"}

	body, err := format.Encode(nil, &codec.Envelope{}, seal, strings.Repeat("to be or not to be; ", 1000))
	fmt.Println(len(body) < 1000, err)
	text, _, err := format.Decode(body, seal)
	fmt.Println(len(text), err)

	// Output:
	// true <nil>
	// 20000 <nil>
}

// With a dictionary of similar values small ones shrink too. To change it, first let all nodes know the new one.
func ExampleOptions_dictionaries() {
	before := bytes.Repeat([]byte(`{"name":"chair","colour":"red","price":10}`), 2)
	next := bytes.Repeat([]byte(`{"name":"table","colour":"red","price":{"EUR":10}}`), 2)

	old, _ := compression.New(&compression.Options{Dictionaries: [][]byte{before}})
	both, _ := compression.New(&compression.Options{Dictionaries: [][]byte{next, before}})

	value := []byte(`{"name":"chair","colour":"blue","price":12,"sale":true}` + strings.Repeat(" ", 20))
	written, ok := old.Compress(nil, value)
	fmt.Println(len(written) < len(value)*2/3, ok)
	read, err := both.Decompress(written)
	fmt.Println(bytes.Equal(read, value), err)

	written, _ = both.Compress(nil, value)
	_, err = old.Decompress(written)
	fmt.Println(err)

	// Output:
	// true true
	// true <nil>
	// codec: decode: compression: compressed with a dictionary that is not known here
}
