package filejournal_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
)

// BenchmarkAppend accepts writes of 100 bytes and more, while two takers say that they are done.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []filejournal.Sync{filejournal.Always, filejournal.Never} {
		for _, size := range []int{100, 1024} {
			for _, shape := range []struct{ parallel, batch int }{{1, 1}, {64, 1}, {1, 500}, {4, 500}} {
				b.Run(fmt.Sprintf("sync=%v/size=%d/parallel=%d/batch=%d", sync, size, shape.parallel, shape.batch), func(b *testing.B) {
					j := open(b, filepath.Join(b.TempDir(), "journal"), &filejournal.Options{Sync: sync})
					defer j.Close()
					q, err := j.Open("q", (&journal.Options{Bound: 1 << 30}).WithDefaults())
					if err != nil {
						b.Fatal(err)
					}
					for range 2 {
						go func() { // ends with the journal
							for {
								entries, err := q.Take(b.Context(), 500)
								if err != nil || q.Done(b.Context(), entries) != nil {
									return
								}
							}
						}()
					}
					var n atomic.Int64
					value := make([]byte, size)
					b.SetParallelism(shape.parallel / 2)
					b.ReportAllocs()
					one := func() {
						writes := make([]journal.Write, shape.batch)
						for i := range writes {
							writes[i] = journal.Write{Key: fmt.Sprintf("key %d", n.Add(1)%50_000), Value: value, ID: journal.NewID()}
						}
						for _, r := range q.Append(b.Context(), time.Minute, writes) {
							if r.Err != nil {
								b.Error(r.Err)
							}
						}
					}
					if shape.parallel == 1 {
						for b.Loop() {
							one()
						}
					} else {
						b.RunParallel(func(pb *testing.PB) {
							for pb.Next() {
								one()
							}
						})
					}
					b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "writes/s")
				})
			}
		}
	}
}
