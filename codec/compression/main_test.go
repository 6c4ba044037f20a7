package compression_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A product is the value of a shop's cache: a few hundred bytes, of which most are alike.
type product struct {
	ID          int64             `json:"id"`
	SKU         string            `json:"sku"`
	Name        string            `json:"name"`
	Brand       string            `json:"brand"`
	Description string            `json:"description"`
	PriceCents  int64             `json:"price_cents"`
	Currency    string            `json:"currency"`
	Stock       int               `json:"stock"`
	Tags        []string          `json:"tags"`
	Attributes  map[string]string `json:"attributes"`
	UpdatedAt   int64             `json:"updated_at"`
}

var vocabulary = strings.Fields(`solid oak chair with a soft woollen seat and four sturdy legs made in small batches by people who care about
	wood table lamp of brushed steel for desk or floor light warm dimmable energy saving long cable comfortable durable washable cotton
	cover pillow blanket kitchen knife sharp blade handle balance weight cutting board bamboo set of six glasses crystal clear dishwasher
	safe elegant modern classic vintage style garden outdoor waterproof folding compact travel`)

// products returns the encodings of n products, the same ones for the same seed.
func products(seed uint64, n int, encode func(any) ([]byte, error)) [][]byte {
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(n int) string {
		words := make([]string, n)
		for i := range words {
			words[i] = vocabulary[r.IntN(len(vocabulary))]
		}
		return strings.Join(words, " ")
	}
	all := make([][]byte, n)
	for i := range all {
		b, err := encode(product{
			ID: r.Int64N(1 << 40), SKU: fmt.Sprintf("%08X-%04d", r.Uint32(), r.IntN(10000)), Name: pick(3), Brand: pick(1),
			Description: pick(12 + r.IntN(12)), PriceCents: r.Int64N(100000), Currency: []string{"EUR", "USD", "GBP"}[r.IntN(3)],
			Stock: r.IntN(500), Tags: []string{pick(1), pick(1)},
			Attributes: map[string]string{"color": pick(1), "material": pick(1), "size": fmt.Sprint(r.IntN(100))},
			UpdatedAt:  1_790_000_000 + r.Int64N(10_000_000),
		})
		if err != nil {
			panic(err)
		}
		all[i] = b
	}
	return all
}

// dictionary returns products put together, up to size bytes.
func dictionary(seed uint64, size int, encode func(any) ([]byte, error)) (d []byte) {
	for _, b := range products(seed, size/200, encode) {
		if len(d)+len(b) <= size {
			d = append(d, b...)
		}
	}
	return d
}

func mustNew(t testing.TB, o *compression.Options) *compression.Compressor {
	t.Helper()
	c, err := compression.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reasonOf(err error) codec.Reason {
	if d, ok := errors.AsType[*codec.DecodeError](err); ok {
		return d.Reason
	}
	return 0
}

// compressors are all ways to write, which know the same dictionaries.
func compressors(t testing.TB) map[string]*compression.Compressor {
	a, b := dictionary(1, 16<<10, json.Marshal), dictionary(2, 4<<10, json.Marshal)
	return map[string]*compression.Compressor{
		"s2":                             mustNew(t, &compression.Options{Dictionaries: [][]byte{a, b}, Threshold: 1 << 10}),
		"s2 without a dictionary":        mustNew(t, nil),
		"s2 with the other dictionary":   mustNew(t, &compression.Options{Dictionaries: [][]byte{b, a}}),
		"zstd":                           mustNew(t, &compression.Options{Algorithm: compression.Zstd, Dictionaries: [][]byte{a, b}}),
		"zstd without a dictionary":      mustNew(t, &compression.Options{Algorithm: compression.Zstd}),
		"zstd with the other dictionary": mustNew(t, &compression.Options{Algorithm: compression.Zstd, Dictionaries: [][]byte{b, a}}),
	}
}
