package hazelcast_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

func BenchmarkGet(b *testing.B) {
	s := openStore(b, onMap(b, servertest.SharedHazelcast(b).URL()), &hazelcast.Options{Timeout: patience})
	for _, size := range []int{100, 1 << 20, 4<<20 - record.HeaderLen} {
		body, _ := value(string(make([]byte, size)), time.Hour)
		key := fmt.Sprint("size-", size)
		if e := s.Write(b.Context(), addOp(key, body, time.Hour))[0]; e.Outcome != driver.Done {
			b.Fatal(e.Err)
		}
		for _, parallel := range []int{1, 16, 128} {
			if size > 100 && parallel > 1 {
				continue
			}
			b.Run(fmt.Sprintf("size=%d/parallel=%d", size, parallel), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				var wg sync.WaitGroup
				for i := range parallel {
					n := b.N / parallel
					if i < b.N%parallel {
						n++
					}
					wg.Go(func() {
						for range n {
							if r := s.Get(b.Context(), key)[0]; r.Err != nil || r.Record == nil {
								b.Errorf("%v", r.Err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkBulkGet(b *testing.B) {
	s := openStore(b, onMap(b, servertest.SharedHazelcast(b).URL()), &hazelcast.Options{Timeout: patience})
	const n = 1000
	keys := make([]string, n)
	ops := make([]driver.Op, n)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
		body, _ := value("some body", time.Hour)
		ops[i] = addOp(keys[i], body, time.Hour)
	}
	s.Write(b.Context(), ops...)
	b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range s.Get(b.Context(), keys...) {
				if r.Err != nil || r.Record == nil {
					b.Fatal(r.Err)
				}
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	s := openStore(b, onMap(b, servertest.SharedHazelcast(b).URL()), &hazelcast.Options{Timeout: patience})
	body := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() { // a fence, then the value: what a cache's Set does
		writer := record.NewToken()
		v, _ := value(string(body), time.Hour)
		for _, step := range []record.Step{
			{Verb: record.Place, Expect: writer, TTL: time.Minute},
			{Verb: record.Swap, Expect: writer, Record: v, TTL: time.Hour},
		} {
			if e := s.Write(b.Context(), driver.Op{Key: "a", Step: step})[0]; e.Outcome != driver.Done {
				b.Fatal(e.Outcome, e.Err)
			}
		}
	}
}
