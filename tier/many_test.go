package tier_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestGetManyKeepsOrderAndCostsOneReadAndOneBatch(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	s := sourceOf(map[int]string{1: "a", 2: "b", 3: "c", 4: "d"})
	c := open(t, &options{Remote: env.Store, Policy: aside(s)})
	want(t, c, 3, "c")
	must(t, c.Set(t.Context(), 4, "set", tier.SkipLocalWrite()))
	reads, writes, loads := env.Remote.Reads(), env.Remote.Writes(), s.Loads()

	keys := []int{2, 9, 1, 2, 3, 4, 9}
	got := c.GetMany(t.Context(), keys)
	for i, w := range []tier.Entry[string]{
		{Value: "b", Tier: tier.Source}, {Err: tier.ErrNotFound}, {Value: "a", Tier: tier.Source}, {Value: "b", Tier: tier.Source},
		{Value: "c", Tier: tier.Local}, {Value: "set", Tier: tier.Remote}, {Err: tier.ErrNotFound},
	} {
		if got[i].Value != w.Value || !errors.Is(got[i].Err, w.Err) || w.Tier != 0 && got[i].Tier != w.Tier {
			t.Errorf("entry %d (key %d): %+v, want %+v", i, keys[i], got[i], w)
		}
	}
	if r, w := env.Remote.Reads()-reads, env.Remote.Writes()-writes; r != 1 || w != 2 {
		t.Errorf("%d reads and %d writes of the remote tier, want one, one of leases and one of values", r, w)
	}
	if n, b := s.Loads()-loads, s.Batches(); n != 3 || b != 1 {
		t.Errorf("%d keys loaded in %d batches, want 3 in 1", n, b)
	}
	for _, e := range c.GetMany(t.Context(), []int{1, 2, 3, 4}) {
		if e.Tier != tier.Local || e.Err != nil {
			t.Errorf("again: %+v", e)
		}
	}
	if len(c.GetMany(t.Context(), nil)) != 0 {
		t.Error("no keys gave entries")
	}
}

// batch is a loader that answers a batch as told.
type batch struct {
	policy.LoaderFunc[int, string]
	many func(keys []int) ([]policy.Answer[string], error)
}

func (b batch) LoadMany(_ context.Context, keys []int) ([]policy.Answer[string], error) {
	return b.many(keys)
}

func TestGetManyReportsErrorsByKey(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, many := range map[string]func(keys []int) ([]policy.Answer[string], error){
		"one key fails": func(keys []int) ([]policy.Answer[string], error) {
			return []policy.Answer[string]{{Value: "a"}, {Err: boom}}, nil
		},
		"all fail":        func([]int) ([]policy.Answer[string], error) { return nil, boom },
		"too few answers": func([]int) ([]policy.Answer[string], error) { return make([]policy.Answer[string], 1), nil },
		"a panic":         func([]int) ([]policy.Answer[string], error) { panic(boom) },
		"unchanged from nil": func([]int) ([]policy.Answer[string], error) {
			return []policy.Answer[string]{{Value: "a"}, {Unchanged: true}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, &options{Policy: policy.CacheAside(policy.Loader[int, string](batch{many: many}))})
			got := c.GetMany(t.Context(), []int{1, 2})
			if (name == "one key fails" || name == "unchanged from nil") && (got[0].Err != nil || got[0].Value != "a") {
				t.Errorf("the good key: %+v", got[0])
			}
			if got[1].Err == nil || errors.Is(got[1].Err, tier.ErrNotFound) {
				t.Errorf("the bad key: %+v", got[1])
			}
			var p *tier.PanicError
			if name == "a panic" && (!errors.As(got[0].Err, &p) || p.Value != boom || len(p.Stack) == 0) {
				t.Errorf("a panic became %v", got[0].Err)
			}
			if ok, _ := c.Contains(t.Context(), 2); ok {
				t.Error("a failure was kept")
			}
		})
	}
}

func TestGetManyLoadsOneByOneWithoutABatchLoader(t *testing.T) {
	t.Parallel()
	load := policy.LoaderFunc[int, string](func(_ context.Context, k int) (string, error) {
		if k == 7 {
			panic("seven")
		}
		return fmt.Sprint(k), nil
	})
	c := open(t, &options{Policy: policy.CacheAside(policy.Loader[int, string](load))})
	keys := make([]int, 100)
	for i := range keys {
		keys[i] = i
	}
	for i, e := range c.GetMany(t.Context(), keys) {
		var p *tier.PanicError
		if i == 7 != errors.As(e.Err, &p) || i != 7 && e.Value != fmt.Sprint(i) {
			t.Errorf("key %d: %+v", i, e)
		}
	}
}

func TestInvalidateOfMoreKeysThanOneAnnouncementTakes(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	s := sourceOf(nil)
	const n = 70_000
	for i := range n {
		s.Put(i, "v")
	}
	a, b := tiertest.Node(t, env, "c", &options{Policy: aside(s)}), tiertest.Node(t, env, "c", &options{Policy: aside(s)})
	trusted(t, a, b)
	want(t, b, n-1, "v")
	keys := make([]int, n)
	for i := range keys {
		keys[i] = i
	}
	s.Put(n-1, "w")
	must(t, a.Invalidate(t.Context(), keys...))
	eventually(t, "the last key is heard of", func() bool {
		v, err := b.Get(t.Context(), n-1)
		return err == nil && v == "w"
	})
}

func TestAKeyTooLongForTheBusClearsEverywhere(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	o := &tier.Options[string, string]{}
	a, b := tiertest.Node(t, env, "c", o), tiertest.Node(t, env, "c", o)
	eventually(t, "trusted", func() bool { return a.Stats().Trusted && b.Stats().Trusted })
	long := string(make([]byte, 100_000))
	must(t, a.Set(t.Context(), long, "v1"))
	if v, err := b.Get(t.Context(), long); v != "v1" || err != nil {
		t.Fatal(v, err)
	}
	must(t, a.Set(t.Context(), long, "v2"))
	eventually(t, "the clear is heard", func() bool { return b.Stats().Received >= 2 })
	if v, err := b.Get(t.Context(), long); v != "v2" || err != nil {
		t.Fatal(v, err)
	}
}
