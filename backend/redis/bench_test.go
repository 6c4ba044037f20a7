package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

// BenchmarkGet reads single records of 200 bytes from many goroutines.
func BenchmarkGet(b *testing.B) {
	srv := servertest.SharedRedis(b)
	for _, parallel := range []int{1, 16, 128} {
		for _, batching := range []bool{true, false} {
			b.Run(fmt.Sprintf("parallel=%d/batching=%t", parallel, batching), func(b *testing.B) {
				o := patient()
				o.NoBatching = !batching
				s := openStore(b, srv.URL(), o)
				keys := make([]string, 1000)
				own := servertest.Key(b)
				for i := range keys {
					keys[i] = fmt.Sprint(own, i)
					h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}
					r := record.New(h, []byte(strings.Repeat("v", 173)))
					s.Write(b.Context(), driver.Op{Key: keys[i], Step: record.Step{Verb: record.Add, Record: r, TTL: time.Hour}})
				}
				b.ReportAllocs()
				b.ResetTimer()
				var done atomic.Int64
				var readers sync.WaitGroup
				for range parallel {
					readers.Go(func() {
						for n := done.Add(1); n <= int64(b.N); n = done.Add(1) {
							if r := s.Get(b.Context(), keys[int(n)%len(keys)]); r[0].Record == nil {
								b.Errorf("%v", r[0].Err)
								return
							}
						}
					})
				}
				readers.Wait()
			})
		}
	}
}
