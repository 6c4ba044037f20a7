package compression_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/codec/compression"
	"github.com/vmihailenco/msgpack/v5"
)

func TestAllocations(t *testing.T) {
	d := dictionary(1, 16<<10, json.Marshal)
	payload := products(3, 1, json.Marshal)[0]
	for _, algorithm := range []compression.Algorithm{compression.S2, compression.Zstd} {
		c := mustNew(t, &compression.Options{Algorithm: algorithm, Dictionaries: [][]byte{d}})
		dst := make([]byte, 0, 4<<10)
		out, ok := c.Compress(dst, payload)
		if !ok {
			t.Fatalf("%v: not compressed", algorithm)
		}
		if n := testing.AllocsPerRun(100, func() { c.Compress(dst, payload) }); n != 0 {
			t.Errorf("%v: Compress: %v allocations", algorithm, n)
		}
		if n := testing.AllocsPerRun(100, func() { c.Decompress(out) }); n != 1 {
			t.Errorf("%v: Decompress: %v allocations, want the payload's alone", algorithm, n)
		}
	}
}

// inputs are encoded products: one, and enough of them for the size.
func inputs(encode func(any) ([]byte, error)) map[int][]byte {
	many := bytes.Join(products(8, 400, encode), nil)
	return map[int][]byte{1: products(8, 1, encode)[0], 4: many[:4<<10], 64: many[:64<<10]}
}

func benchmark(b *testing.B, run func(b *testing.B, c *compression.Compressor, payload []byte)) {
	for _, algorithm := range []compression.Algorithm{compression.S2, compression.Zstd} {
		for _, dictionaries := range [][][]byte{nil, {dictionary(1, 16<<10, msgpack.Marshal)}} {
			c := mustNew(b, &compression.Options{Algorithm: algorithm, Threshold: 64, Dictionaries: dictionaries})
			for _, kib := range []int{1, 4, 64} {
				payload := inputs(msgpack.Marshal)[kib]
				b.Run(fmt.Sprintf("algorithm=%v/dictionary=%t/bytes=%d", algorithm, dictionaries != nil, len(payload)), func(b *testing.B) {
					run(b, c, payload)
				})
			}
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	benchmark(b, func(b *testing.B, c *compression.Compressor, payload []byte) {
		dst := make([]byte, 0, 128<<10)
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			out, _ = c.Compress(dst, payload)
		}
		b.ReportMetric(float64(len(out)), "out-bytes")
	})
}

func BenchmarkDecompress(b *testing.B) {
	benchmark(b, func(b *testing.B, c *compression.Compressor, payload []byte) {
		out, _ := c.Compress(nil, payload)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Decompress(out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
