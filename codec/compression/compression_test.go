package compression_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/vmihailenco/msgpack/v5"
)

// payloads are of all sizes that are treated differently, none of them shorter than any threshold.
func payloads() map[string][]byte {
	text := []byte(strings.Repeat("all work and no play makes jack a dull boy; ", 12_000))
	return map[string][]byte{
		"a product":        products(3, 1, json.Marshal)[0],
		"1 KiB":            text[:1<<10],
		"16 KiB":           text[:16<<10],
		"16 KiB and a bit": text[:16<<10+1],
		"128 KiB and more": text[:128<<10+17],
		"540 KB":           text,
		"zeros":            make([]byte, 100_000),
		"many products":    bytes.Join(products(4, 1000, json.Marshal), []byte(",")),
	}
}

func TestEachCompressorReadsWhatTheOthersWrite(t *testing.T) {
	t.Parallel()
	all := compressors(t)
	for writerName, writer := range all {
		for name, payload := range payloads() {
			prefix := []byte("prefix")
			out, ok := writer.Compress(slices.Clone(prefix), payload)
			if !ok {
				if len(payload) >= 1<<10 {
					t.Errorf("%s: %s: not compressed", writerName, name)
				}
				continue
			}
			if !bytes.HasPrefix(out, prefix) || len(out)-len(prefix) > len(payload)*7/8 {
				t.Fatalf("%s: %s: %d bytes became %d", writerName, name, len(payload), len(out))
			}
			for readerName, reader := range all {
				got, err := reader.Decompress(out[len(prefix):])
				withDictionary := out[len(prefix)]&0x80 != 0
				if withDictionary && strings.Contains(readerName, "without") {
					if reasonOf(err) != codec.ReasonCompression || got != nil {
						t.Errorf("%s: %s: read by %s, which does not know the dictionary: %v", writerName, name, readerName, err)
					}
				} else if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("%s: %s: read by %s: %d bytes of %d, %v", writerName, name, readerName, len(got), len(payload), err)
				}
			}
		}
	}
}

func TestWhatDoesNotShrinkStaysAsItIs(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 100_000)
	rand.Read(noise)
	for name, c := range compressors(t) {
		for _, n := range []int{16, 100, 2000, 10_000, len(noise)} {
			if out, ok := c.Compress(nil, noise[:n]); ok {
				t.Errorf("%s: %d random bytes became %d", name, n, len(out))
			}
		}
	}
}

func TestThresholdAndMaxSizeBoundWhatIsCompressed(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 1<<20)
	c := mustNew(t, &compression.Options{Threshold: 100, MaxSize: 5000})
	for n, want := range map[int]bool{0: false, 99: false, 100: true, 5000: true, 5001: false} {
		if _, ok := c.Compress(nil, zeros[:n]); ok != want {
			t.Errorf("%d bytes: compressed: %t", n, ok)
		}
	}
	standard := mustNew(t, nil)
	for n, want := range map[int]bool{1<<10 - 1: false, 1 << 10: true} {
		if _, ok := standard.Compress(nil, zeros[:n]); ok != want {
			t.Errorf("default: %d bytes: compressed: %t", n, ok)
		}
	}
	withDictionary := mustNew(t, &compression.Options{Dictionaries: [][]byte{dictionary(1, 1<<10, json.Marshal)}})
	for n, want := range map[int]bool{63: false, 64: true} {
		if _, ok := withDictionary.Compress(nil, zeros[:n]); ok != want {
			t.Errorf("default with a dictionary: %d bytes: compressed: %t", n, ok)
		}
	}
}

func TestADictionaryHalvesSmallValues(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func(any) ([]byte, error){"json": json.Marshal, "messagepack": msgpack.Marshal} {
		for _, algorithm := range []compression.Algorithm{compression.S2, compression.Zstd} {
			for _, size := range []int{0, 4 << 10, 16 << 10, 64 << 10} {
				o := &compression.Options{Algorithm: algorithm, Threshold: 64}
				if size > 0 {
					o.Dictionaries = [][]byte{dictionary(1, size, encode)}
				}
				c := mustNew(t, o)
				plain, small := 0, 0
				for _, b := range products(5, 500, encode) {
					out, ok := c.Compress(nil, b)
					if !ok {
						out = b
					}
					plain, small = plain+len(b), small+len(out)
				}
				t.Logf("%s, %v, a dictionary of %d bytes: %d bytes become %d", name, algorithm, size, plain/500, small/500)
				if size == 16<<10 && small > plain*55/100 {
					t.Errorf("%s, %v: %d bytes become %d", name, algorithm, plain, small)
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	for name, c := range compressors(t) {
		var all sync.WaitGroup // joined below
		for i := range 8 {
			all.Go(func() {
				for _, payload := range products(uint64(10+i), 100, json.Marshal) {
					payload = bytes.Repeat(payload, 8)
					out, ok := c.Compress(nil, payload)
					if !ok {
						t.Errorf("%s: not compressed", name)
						return
					}
					if got, err := c.Decompress(out); err != nil || !bytes.Equal(got, payload) {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	t.Parallel()
	d := dictionary(1, 1<<10, json.Marshal)
	for want, o := range map[string]*compression.Options{
		"Algorithm":                 {Algorithm: 7},
		"Threshold 15":              {Threshold: 15},
		"Threshold -1":              {Threshold: -1},
		"MaxSize 1000":              {MaxSize: 1000},
		"MaxSize 67108865":          {MaxSize: codec.MaxBody + 1},
		"Dictionaries[1]: 63 bytes": {Dictionaries: [][]byte{d, d[:63]}},
		"Dictionaries[0]: 65537":    {Dictionaries: [][]byte{make([]byte, 65537)}},
		"Dictionaries[1]: is there": {Dictionaries: [][]byte{d, d}},
	} {
		if _, err := compression.New(o); err == nil || !strings.HasPrefix(err.Error(), "compression: new: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if a, err := compression.ParseAlgorithm("zstd"); a != compression.Zstd || err != nil {
		t.Error(a, err)
	}
	if _, err := compression.ParseAlgorithm("gzip"); err == nil {
		t.Error("gzip is an algorithm")
	}
}
