package codec_test

import (
	"bytes"
	"testing"

	"github.com/strata-cache/strata/codec"
)

func TestAllocationsOfAFormat(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools: go test -run Alloc ./codec")
	}
	value := bytes.Repeat([]byte("value "), 50)
	all := formats(t, codec.Bytes())
	// Besides the value that Decode returns: an extension, what was decompressed, what was decrypted.
	for name, decode := range map[string]float64{"plain": 1, "compressed": 3, "encrypted": 2, "both": 4} {
		f, e := all[name], &codec.Envelope{}
		dst := make([]byte, 0, 1<<10)
		body, err := f.Encode(nil, e, testSeal, value)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() { f.Encode(dst, e, testSeal, value) }); n != 0 {
			t.Errorf("%s: Encode: %v allocations", name, n)
		}
		if n := testing.AllocsPerRun(200, func() { f.Decode(body, testSeal) }); n != decode {
			t.Errorf("%s: Decode: %v allocations, want %v", name, n, decode)
		}
	}
}
