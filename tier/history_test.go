package tier_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// Whatever is done, one step after the other, every node answers as a plain map in front of a plain map does: with what was
// set or loaded since the last invalidation, or what the source has.
func TestRandomHistoriesAgainstAMap(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"local": 1, "remote": 1, "both": 1, "both and a bus": 2} {
		for range 5 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) {
				t.Parallel()
				s := sourceOf(nil)
				o := options{Policy: aside(s), LocalCost: 64 << 10, MaxStaleness: 10 * time.Second}
				var nodes []*cache
				quiet := func() bool { return true }
				if n == 1 {
					nodes = []*cache{setups[name](t, o)}
				} else {
					env := tiertest.New(t)
					var buses []*invalidation.Bus
					quiet = func() bool {
						return !slices.ContainsFunc(buses, func(b *invalidation.Bus) bool { return b.Position().Before(env.Hub.Head()) })
					}
					for range n {
						o.Bus = env.Bus(t)
						buses = append(buses, o.Bus)
						nodes = append(nodes, tiertest.Node(t, env, "c", &o))
					}
					trusted(t, nodes...)
				}
				history(t, rand.New(rand.NewPCG(seed, 0)), nodes, s, quiet)
			})
		}
	}
}

func history(t *testing.T, r *rand.Rand, nodes []*cache, s *tiertest.Source[int, string], quiet func() bool) {
	ctx := t.Context()
	// What was set since the last invalidation, and not what was set before it. A cache may forget at any time, so that
	// the source's value may be served always; it changes only together with an invalidation.
	set := map[int]string{}
	check := func(step, k int, v string, err error) {
		t.Helper()
		sv, inSource := s.Values()[k]
		cv, inCache := set[k]
		switch {
		case err == nil && inCache && v == cv, err == nil && inSource && v == sv:
		case errors.Is(err, tier.ErrNotFound) && !inSource:
		default:
			t.Fatalf("step %d: key %d is %q, %v; set %q %v, source %q %v", step, k, v, err, cv, inCache, sv, inSource)
		}
	}
	for step := range 2000 {
		c, k := nodes[r.IntN(len(nodes))], r.IntN(12)
		v := fmt.Sprint("v", step)
		switch r.IntN(9) {
		case 0:
			must(t, c.Set(ctx, k, v))
			set[k] = v
		case 1:
			s.Put(k, v)
			must(t, c.Invalidate(ctx, k))
			delete(set, k)
		case 2:
			s.Remove(k)
			must(t, c.Delete(ctx, k))
			delete(set, k)
		case 3:
			must(t, c.SetMany(ctx, map[int]string{k: v, k + 1: v}))
			set[k], set[k+1] = v, v
		case 4:
			if r.IntN(20) > 0 {
				continue
			}
			must(t, c.Clear(ctx))
			clear(set)
		case 5:
			ks := []int{k, k + 1, k}
			for i, e := range c.GetMany(ctx, ks) {
				check(step, ks[i], e.Value, e.Err)
			}
			continue
		case 6:
			if got, ok, err := c.Peek(ctx, k); err != nil {
				t.Fatal(err)
			} else if ok {
				check(step, k, got, nil)
			}
			continue
		default:
			got, err := c.Get(ctx, k)
			check(step, k, got, err)
			continue
		}
		eventually(t, "quiescence", func() bool { return quiet() })
	}
}
