package compression_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
)

const limit = 1 << 20

// allocated returns the bytes that f allocates. Nothing else may run meanwhile: no test that uses it is parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func zstdFrame(t testing.TB, payload []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(payload, nil)
}

// bombs are small and claim, or are, much.
func bombs(t testing.TB) map[string][]byte {
	zeros := make([]byte, 32<<20)
	frame := zstdFrame(t, zeros)
	small := zstdFrame(t, zeros[:1000])
	s2Lies := append(binary.AppendUvarint([]byte{1}, 1<<30), 0, 0)
	return map[string][]byte{
		"s2 that is large":                     append([]byte{1}, s2.Encode(nil, zeros)...),
		"s2 that claims 1 GiB":                 s2Lies,
		"s2 that claims 4 GiB":                 append(binary.AppendUvarint([]byte{1}, 1<<32-1), 0, 0),
		"zstd that is large":                   append([]byte{2}, frame...),
		"zstd that claims 2⁶⁴":                 append([]byte{2}, 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0),
		"zstd that does not say":               append([]byte{2}, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 1, 0, 0),
		"a small zstd frame, then a large one": append(append([]byte{2}, small...), frame...),
		"a small zstd frame, then 512 KiB":     append(append([]byte{2}, small...), zstdFrame(t, zeros[:512<<10])...),
		"a small zstd frame, then another":     append(append([]byte{2}, small...), small...),
		"a skippable frame":                    {2, 0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0x7f},
	}
}

func TestABombAllocatesNothingBeyondTheLimit(t *testing.T) {
	c := mustNew(t, &compression.Options{MaxSize: limit})
	c.Decompress(append([]byte{2}, zstdFrame(t, make([]byte, 1000))...)) // fills the pools
	for name, bomb := range bombs(t) {
		var got []byte
		var err error
		cost := allocated(func() { got, err = c.Decompress(bomb) })
		if got != nil || reasonOf(err) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if cost > 64<<10 { // refused before anything was allocated for it
			t.Errorf("%s: %d bytes allocate %d", name, len(bomb), cost)
		}
	}
	// Within the limit it costs what it declares, and not more.
	atLimit := append([]byte{1}, s2.Encode(nil, make([]byte, limit))...)
	if cost := allocated(func() { c.Decompress(atLimit) }); cost > limit+64<<10 {
		t.Errorf("%d bytes allocate %d", len(atLimit), cost)
	}
}

func TestABeyondLimitIsTooLarge(t *testing.T) {
	t.Parallel()
	large, small := mustNew(t, nil), mustNew(t, &compression.Options{MaxSize: limit})
	for _, algorithm := range []compression.Algorithm{compression.S2, compression.Zstd} {
		out, _ := mustNew(t, &compression.Options{Algorithm: algorithm}).Compress(nil, make([]byte, limit+1))
		if _, err := small.Decompress(out); reasonOf(err) != codec.ReasonTooLarge {
			t.Errorf("%v: %v", algorithm, err)
		}
		if got, err := large.Decompress(out); len(got) != limit+1 || err != nil {
			t.Errorf("%v: %v", algorithm, err)
		}
	}
}

func TestDamageIsAMissOrAnotherPayload(t *testing.T) {
	t.Parallel()
	payload := products(6, 1, json.Marshal)[0]
	for name, c := range compressors(t) {
		out, ok := c.Compress(nil, bytes.Repeat(payload, 4))
		if !ok {
			t.Fatalf("%s: not compressed", name)
		}
		for i := range out {
			if _, err := c.Decompress(out[:i]); reasonOf(err) == 0 {
				t.Errorf("%s: %d of %d bytes: %v", name, i, len(out), err)
			}
			for bit := range 8 {
				out[i] ^= 1 << bit
				if got, err := c.Decompress(out); err != nil && (reasonOf(err) == 0 || got != nil) {
					t.Errorf("%s: bit %d of byte %d: %v", name, bit, i, err)
				}
				out[i] ^= 1 << bit
			}
		}
	}
}

func TestAnUnknownAlgorithmIsAMiss(t *testing.T) {
	t.Parallel()
	c := mustNew(t, nil)
	for _, in := range [][]byte{nil, {}, {0}, {3, 1, 1}, {0x81}, {0x81, 1, 2, 3, 4, 5, 6, 7}, {0x81, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {0x81, 1, 2, 3, 4, 5, 6, 7, 8, 1}} {
		if got, err := c.Decompress(in); got != nil || reasonOf(err) == 0 {
			t.Errorf("%x: %x, %v", in, got, err)
		}
	}
}

// FuzzDecompress checks that no input costs more than the limit, and that none panics.
func FuzzDecompress(f *testing.F) {
	d := dictionary(1, 4<<10, json.Marshal)
	c := mustNew(f, &compression.Options{MaxSize: limit, Dictionaries: [][]byte{d}})
	z := mustNew(f, &compression.Options{MaxSize: limit, Algorithm: compression.Zstd, Dictionaries: [][]byte{d}})
	for _, payload := range append(products(7, 4, json.Marshal), make([]byte, 20_000)) {
		for _, writer := range []*compression.Compressor{c, z} {
			if out, ok := writer.Compress(nil, payload); ok {
				f.Add(out)
			}
		}
	}
	for _, bomb := range bombs(f) {
		f.Add(bomb[:min(len(bomb), 4<<10)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c.Decompress(b)
		var got []byte
		var err error
		if cost := allocated(func() { got, err = c.Decompress(b) }); cost > limit+1<<20 { // a decoder of its own, at times
			t.Fatalf("%d bytes allocate %d", len(b), cost)
		}
		if err != nil && reasonOf(err) == 0 || len(got) > limit {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
