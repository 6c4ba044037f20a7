package redisjournal_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
)

// BenchmarkQueue writes values of 100 bytes at a server that persists.
func BenchmarkQueue(b *testing.B) {
	for _, sync := range []string{"always", "everysec"} {
		b.Run("appendfsync="+sync, func(b *testing.B) {
			s := servertest.Redis(b, &server.RedisOptions{Persist: true, Args: []string{"--appendfsync", sync}})
			c, q := countedQueue(b, s.URL())
			for _, writers := range []int{1, 64} {
				b.Run(fmt.Sprintf("append/batch=1/parallel=%d", writers), func(b *testing.B) { benchAppend(b, q, c, writers, 1) })
			}
			for _, writers := range []int{1, 8} {
				b.Run(fmt.Sprintf("append/batch=500/parallel=%d", writers), func(b *testing.B) { benchAppend(b, q, c, writers, 500) })
			}
			b.Run("take+done/batch=500", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					accept(b, q, payload(0, 500)...)
					b.StartTimer()
					entries, err := q.Take(b.Context(), 500)
					if err == nil {
						err = q.Done(b.Context(), entries)
					}
					if err != nil || len(entries) != 500 {
						b.Fatal(len(entries), err)
					}
				}
				b.ReportMetric(float64(b.N*500)/b.Elapsed().Seconds(), "writes/s")
			})
		})
	}
}

func payload(from, n int) []journal.Write {
	writes := sets(from, n)
	for i := range writes {
		writes[i].Value = make([]byte, 100)
	}
	return writes
}

// benchAppend appends over 50,000 keys.
func benchAppend(b *testing.B, q journal.Queue, c *counted, writers, batch int) {
	var next atomic.Int64
	var working sync.WaitGroup
	c.since()
	for b.Loop() {
		for range writers {
			working.Go(func() {
				for range max(1, 64/writers) {
					accept(b, q, payload(int(next.Add(int64(batch)))%50_000, batch)...)
				}
			})
		}
		working.Wait()
	}
	n := float64(b.N * writers * max(1, 64/writers) * batch)
	b.ReportMetric(n/b.Elapsed().Seconds(), "writes/s")
	c.mu.Lock()
	b.ReportMetric(n/float64(c.sent["evalsha"]), "writes/command")
	c.mu.Unlock()
}
