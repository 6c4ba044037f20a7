package memory_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

const benchKeys = 10_000

// filled returns a store with benchKeys values of size bytes, and their keys.
func filled(b *testing.B, size int) (*backend.Store, []string) {
	s := setup(b, memory.DefaultMaxBytes)
	keys := make([]string, benchKeys)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
		if e := add(b, s, keys[i], time.Hour, make([]byte, size)); e.Outcome != driver.Done {
			b.Fatalf("%+v", e)
		}
	}
	return s, keys
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		for _, batch := range []int{1, 16} {
			b.Run(fmt.Sprintf("size=%d/batch=%d", size, batch), func(b *testing.B) {
				s, keys := filled(b, size)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := i * batch % (benchKeys - batch)
					s.Get(b.Context(), keys[at:at+batch]...)
				}
			})
		}
	}
}

func BenchmarkSwap(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s, keys := filled(b, size)
			rec := valueOf(time.Hour, make([]byte, size))
			token := record.TokenOf(rec)
			for _, k := range keys {
				old := record.TokenOf(s.Get(b.Context(), k)[0].Record)
				s.Write(b.Context(), driver.Op{Key: k, Step: record.Step{Verb: record.Swap, Expect: old, Record: rec, TTL: time.Hour}})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				op := driver.Op{Key: keys[i%benchKeys], Step: record.Step{Verb: record.Swap, Expect: token, Record: rec, TTL: time.Hour}}
				if e := s.Write(b.Context(), op)[0]; e.Outcome != driver.Done {
					b.Fatalf("%+v", e)
				}
			}
		})
	}
}

func BenchmarkAddWhenFull(b *testing.B) {
	s := setup(b, 16<<20)
	body := make([]byte, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if e := add(b, s, fmt.Sprint(i), time.Hour, body); e.Outcome != driver.Done {
			b.Fatalf("%+v", e)
		}
	}
}

func BenchmarkGetParallel(b *testing.B) {
	s, keys := filled(b, 100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Get(b.Context(), keys[rand.IntN(benchKeys)])
		}
	})
}
