package tier_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestWhatWasSetIsReadBackAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t, &options{})
	for k := range 100_000 {
		must(t, c.Set(t.Context(), k, strconv.Itoa(k)))
		want(t, c, k, strconv.Itoa(k))
	}
	// Most of them stay: a Set kills few others of its stripe.
	held := 0
	for k := range 100_000 {
		if ok, _ := c.Contains(t.Context(), k); ok {
			held++
		}
	}
	if held < 50_000 {
		t.Errorf("%d of 100,000 are held, with room for all", held)
	}
}

func TestAFullLocalTierShowsTheNewestValueAndStaysWithinItsCost(t *testing.T) {
	t.Parallel()
	const cost = 1 << 20
	c := open(t, &options{LocalCost: cost})
	value := strings.Repeat("v", 1000)
	for k := range 10 * cost / 1000 {
		must(t, c.Set(t.Context(), k, value))
		for range 3 {
			want(t, c, k, value)
		}
	}
	eventually(t, "the cost is within bounds", func() bool {
		n := c.Stats().LocalCost
		return n > cost/4 && n <= cost
	})
	must(t, c.Clear(t.Context()))
	eventually(t, "cleared", func() bool { return c.Stats().LocalCost == 0 })
	must(t, c.Set(t.Context(), 1, strings.Repeat("x", 2*cost))) // larger than the tier
	eventually(t, "a value that has no room is not kept", func() bool { return c.Stats().LocalCost <= cost })
}

func TestTheOlderOfTwoSetsIsNeverServed(t *testing.T) {
	t.Parallel()
	c := open(t, &options{LocalCost: 4 << 20})
	const n = 20_000 // more than the table has slots, so that keys displace each other
	for k := range n {
		must(t, c.Set(t.Context(), k, "v1"))
		must(t, c.Set(t.Context(), k, "v2"))
	}
	for range 2 {
		for k := range n {
			if v, ok, _ := c.Peek(t.Context(), k); ok && v != "v2" {
				t.Fatalf("key %d has %q", k, v)
			}
		}
	}
}

func TestWhatWasInvalidatedDoesNotComeBack(t *testing.T) {
	t.Parallel()
	c := open(t, &options{LocalCost: 4 << 20})
	const n = 20_000
	for k := range n {
		must(t, c.Set(t.Context(), k, "v1"))
		must(t, c.Invalidate(t.Context(), k))
	}
	for k := range n {
		if ok, _ := c.Contains(t.Context(), k); ok {
			t.Fatalf("key %d came back", k)
		}
	}
}

func TestZeroValuesAndNilPointersAreValues(t *testing.T) {
	t.Parallel()
	type thing struct{ N int }
	for name, remote := range map[string]bool{"local": false, "remote": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(loads int) {
				if loads != 1 {
					t.Errorf("%d loads", loads)
				}
			}
			loads := 0
			p := open(t, storeOf(t, remote, &tier.Options[string, *thing]{}))
			for range 3 {
				v, err := p.GetOrLoad(t.Context(), "k", func(context.Context, string) (*thing, error) { loads++; return nil, nil })
				if v != nil || err != nil {
					t.Fatal(v, err)
				}
			}
			check(loads)
			loads = 0
			z := open(t, storeOf(t, remote, &tier.Options[string, int]{}))
			for range 3 {
				v, err := z.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) { loads++; return 0, nil })
				if v != 0 || err != nil {
					t.Fatal(v, err)
				}
			}
			check(loads)
		})
	}
}

func TestCloneGivesEachCallerItsOwn(t *testing.T) {
	t.Parallel()
	mine := []string{"a"}
	c := open(t, &tier.Options[int, []string]{
		Clone:  func(v []string) []string { return append([]string(nil), v...) },
		Policy: policy.CacheAside(policy.LoaderFunc[int, []string](func(context.Context, int) ([]string, error) { return []string{"a"}, nil })),
	})
	must(t, c.Set(t.Context(), 1, mine))
	mine[0] = "changed by the setter"
	for k := range 2 {
		for range 3 {
			v, err := c.Get(t.Context(), k)
			if err != nil || v[0] != "a" {
				t.Fatal(v, err)
			}
			v[0] = "changed by a reader"
			e := c.GetMany(t.Context(), []int{k, k})
			if e[0].Value[0] = "changed"; e[1].Value[0] != "a" {
				t.Fatal("two entries of GetMany share a value")
			}
		}
	}
}

func TestLocalHitAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, o := range map[string]*tier.Options[string, string]{
		"plain": {},
		// Its own allocations count here, too, so it compares little at a time.
		"compared": {Remote: tiertest.New(t).Store, MaxStaleness: time.Hour, StaleSample: 2},
	} {
		t.Run(name, func(t *testing.T) { hitAllocs(t, open(t, o)) })
	}
}

func hitAllocs(t *testing.T, c *tier.Cache[string, string]) {
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
		must(t, c.Set(t.Context(), keys[i], "v", tier.WithTags([]string{"odd", "even", "all"}[:i%4]...)))
	}
	ctx := t.Context()
	n := testing.AllocsPerRun(1, func() {
		for i := range 10_000 {
			if _, err := c.Get(ctx, keys[i%len(keys)]); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Logf("10,000 local hits allocated %v times", n)
	if n > 100 {
		t.Errorf("10,000 local hits allocated %v times", n)
	}
	if hits := c.Stats().LocalHits; hits < 20_000 {
		t.Errorf("only %d were local hits", hits)
	}
}
