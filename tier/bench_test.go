package tier_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/tier"
)

func BenchmarkGet(b *testing.B) {
	for _, where := range []string{"local", "remote"} {
		o := &tier.Options[int, string]{}
		if where == "remote" { // in memory: what the cache itself costs, without a network
			store := memory.New(nil)
			b.Cleanup(func() { store.Close() })
			o.Remote, o.LocalCost = store, -1
		}
		c := open(b, o)
		ctx := context.Background()
		for k := range 1024 {
			must(b, c.Set(ctx, k, "0123456789abcdef"))
		}
		get := func(k int) {
			if _, err := c.Get(ctx, k&1023); err != nil {
				b.Error(err)
			}
		}
		b.Run(fmt.Sprintf("tier=%s/parallel=no", where), func(b *testing.B) {
			b.ReportAllocs()
			k := 0
			for b.Loop() {
				get(k)
				k++
			}
		})
		b.Run(fmt.Sprintf("tier=%s/parallel=yes", where), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for k := 0; p.Next(); k++ {
					get(k)
				}
			})
		})
	}
}
