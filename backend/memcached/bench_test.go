package memcached_test

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
)

func BenchmarkGet(b *testing.B) {
	srv := servertest.Memcached(b)
	for _, parallel := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("servers=1/hit=true/size=200B/parallel=%d", parallel), func(b *testing.B) {
			s := open(b, poolURL("timeout=5s&connections=128", srv))
			key := rand.Text()
			add(b, s, key, strings.Repeat("x", 200), time.Hour)
			b.ReportAllocs()
			b.SetParallelism(max(1, parallel/runtime.GOMAXPROCS(0)))
			if parallel == 1 {
				for b.Loop() {
					if r := s.Get(b.Context(), key); r[0].Err != nil {
						b.Fatal(r[0].Err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r := s.Get(b.Context(), key); r[0].Err != nil {
						b.Fatal(r[0].Err)
					}
				}
			})
		})
	}
}
