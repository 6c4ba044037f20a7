package tier_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// setups are the caches that behave the same for one node.
var setups = map[string]func(t *testing.T, o options) *cache{
	"local": func(t *testing.T, o options) *cache { return open(t, &o) },
	"remote": func(t *testing.T, o options) *cache {
		o.Remote, o.LocalCost = tiertest.New(t).Store, -1
		return open(t, &o)
	},
	"both": func(t *testing.T, o options) *cache {
		o.Remote = tiertest.New(t).Store
		return open(t, &o)
	},
	"both and a bus": func(t *testing.T, o options) *cache {
		c := tiertest.Node(t, tiertest.New(t), "test", &o)
		trusted(t, c) // the flush of the first subscription is over
		return c
	},
}

func TestVerbsDoTheSameInEveryTier(t *testing.T) {
	t.Parallel()
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := sourceOf(map[int]string{1: "one", 2: "two"})
			c := setup(t, options{Policy: aside(s)})
			want(t, c, 1, "one")
			want(t, c, 1, "one")
			if n := s.Loads(); n != 1 {
				t.Fatalf("%d loads of one key", n)
			}
			_, err := c.Get(ctx, 9)
			wantErr(t, err, tier.ErrNotFound)

			if v, ok, err := c.Peek(ctx, 2); ok || v != "" || err != nil {
				t.Fatalf("Peek of what is not cached: %q, %v, %v", v, ok, err)
			}
			if v, ok, err := c.Peek(ctx, 1); !ok || v != "one" || err != nil {
				t.Fatalf("Peek: %q, %v, %v", v, ok, err)
			}
			if ok, err := c.Contains(ctx, 1); !ok || err != nil {
				t.Fatalf("Contains: %v, %v", ok, err)
			}
			must(t, c.Set(ctx, 1, "uno"))
			want(t, c, 1, "uno")
			must(t, c.SetMany(ctx, map[int]string{3: "tre", 4: "quattro"}))
			want(t, c, 3, "tre")
			want(t, c, 4, "quattro")

			must(t, c.Invalidate(ctx, 1, 1, 3))
			want(t, c, 1, "one") // from the source
			_, err = c.Get(ctx, 3)
			wantErr(t, err, tier.ErrNotFound)
			must(t, c.Delete(ctx, 4))
			if ok, _ := c.Contains(ctx, 4); ok {
				t.Fatal("contains what was deleted")
			}
			must(t, c.Invalidate(ctx))
			must(t, c.SetMany(ctx, nil))
			must(t, c.Expire(ctx))

			must(t, c.Clear(ctx))
			if ok, _ := c.Contains(ctx, 1); ok {
				t.Fatal("contains what was cleared")
			}
			got, err := c.GetOrLoad(ctx, 5, func(_ context.Context, k int) (string, error) { return "five", nil })
			if got != "five" || err != nil {
				t.Fatalf("GetOrLoad: %q, %v", got, err)
			}
			want(t, c, 5, "five")
			if st := c.Stats(); st.Writes != 3 || st.Invalidated != 4 || st.LoadErrors != 0 {
				t.Fatalf("stats: %+v", st)
			}
			must(t, c.Close())
			must(t, c.Close())
			_, err = c.Get(ctx, 5)
			wantErr(t, err, tier.ErrClosed)
			wantErr(t, c.Set(ctx, 5, "x"), tier.ErrClosed)
			wantErr(t, c.Clear(ctx), tier.ErrClosed)
			wantErr(t, c.GetMany(ctx, []int{5})[0].Err, tier.ErrClosed)
		})
	}
}

func TestExpireMakesTheValueStaleAndRefreshesItBehind(t *testing.T) {
	t.Parallel()
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "v1"})
			c := setup(t, options{Policy: aside(s)})
			want(t, c, 1, "v1")
			s.Put(1, "v2")
			must(t, c.Expire(t.Context(), 1))
			release := s.Block()
			r, err := c.Lookup(t.Context(), 1)
			if err != nil || r.Value != "v1" || !r.Stale {
				t.Fatalf("after Expire: %+v, %v", r, err)
			}
			release()
			eventually(t, "the new value is served", func() bool {
				r, err := c.Lookup(t.Context(), 1)
				return err == nil && r.Value == "v2" && !r.Stale
			})
			if st := c.Stats(); st.Refreshes == 0 || st.StaleHits == 0 {
				t.Fatalf("stats: %+v", st)
			}
		})
	}
}

func TestLookupTellsTierAgeAndTags(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	s := sourceOf(map[int]string{1: "one"})
	a, b := tiertest.Node(t, env, "c", &options{Policy: aside(s)}), tiertest.Node(t, env, "c", &options{Policy: aside(s)})
	trusted(t, a, b)
	look := func(c *cache, k int) tier.Result[string] {
		t.Helper()
		r, err := c.Lookup(t.Context(), k)
		must(t, err)
		return r
	}
	if r := look(a, 1); r.Tier != tier.Source || r.TTL <= 9*time.Minute || r.Age > time.Minute {
		t.Errorf("loaded: %+v", r)
	}
	if r := look(a, 1); r.Tier != tier.Local {
		t.Errorf("second: %+v", r)
	}
	if r := look(b, 1); r.Tier != tier.Remote {
		t.Errorf("other node: %+v", r)
	}
	must(t, a.Set(t.Context(), 2, "two", tier.WithTags("x", "y"), tier.WithTTL(time.Minute)))
	for _, c := range []*cache{a, b, b} {
		if r := look(c, 2); !slices.Equal(r.Tags, []string{"x", "y"}) || r.TTL > time.Minute || r.Value != "two" {
			t.Errorf("with options: %+v", r)
		}
	}
}

func TestPerCallOptionsSkipTiers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := sourceOf(map[int]string{1: "one"})
	c := open(t, &options{Remote: tiertest.New(t).Store, Policy: aside(s)})
	tierOf := func(k int, o ...tier.Option) tier.Tier {
		t.Helper()
		r, err := c.Lookup(ctx, k, o...)
		must(t, err)
		return r.Tier
	}
	for i, step := range []struct {
		options []tier.Option
		want    tier.Tier
	}{
		{[]tier.Option{tier.SkipRemoteWrite()}, tier.Source},
		{nil, tier.Source}, // the call before kept it nowhere
		{[]tier.Option{tier.SkipLocalRead(), tier.SkipLocalWrite()}, tier.Remote},
		{nil, tier.Local},
		{[]tier.Option{tier.SkipLocalRead(), tier.SkipRemoteRead()}, tier.Source},
		{nil, tier.Local},
	} {
		if got := tierOf(1, step.options...); got != step.want {
			t.Fatalf("step %d: from %v, want %v", i, got, step.want)
		}
	}
	must(t, c.Set(ctx, 2, "two", tier.SkipLocalWrite()))
	if got := tierOf(2); got != tier.Remote {
		t.Fatalf("set without local: from %v", got)
	}
	must(t, c.Set(ctx, 2, "zwei", tier.SkipRemoteWrite()))
	if v, ok, err := c.Peek(ctx, 2, tier.SkipLocalRead()); ok || err != nil {
		t.Fatalf("set without remote left %q there, %v", v, err)
	}
	for _, o := range []tier.Option{tier.WithTTL(time.Nanosecond), tier.WithSoftTTL(-1), tier.WithTags(make([]string, 10000)...)} {
		if err := c.Set(ctx, 3, "x", o); err == nil {
			t.Error("a bad option was taken")
		}
	}
}

func TestErrorsAreFoundThroughEveryLayer(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	c := open(t, &options{Remote: env.Store})
	env.Remote.Down()
	err := c.SetMany(t.Context(), map[int]string{1: "a", 2: "b"})
	wantErr(t, err, tier.ErrUnavailable)
	var e *tier.Error
	if !errors.As(err, &e) || e.Op != "set" || e.Tier != "remote" || !strings.Contains(e.Key, "test/1/{") {
		t.Fatalf("%+v", e)
	}
	if n := strings.Count(err.Error(), "tier: set"); n != 2 {
		t.Fatalf("%d errors of two keys: %v", n, err)
	}
	_, err = c.Get(t.Context(), 1)
	if errors.Is(err, tier.ErrNotFound) || !errors.As(err, &e) || e.Tier != "remote" {
		t.Fatalf("an outage without a loader: %v", err)
	}
	_, _, err = c.Peek(t.Context(), 1)
	wantErr(t, err, tier.ErrUnavailable)
	wantErr(t, c.Expire(t.Context(), 1), tier.ErrUnavailable)
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	env.Remote.Up()
	_, err = c.Get(dead, 1)
	wantErr(t, err, context.Canceled)
	for range 20 {
		wantErr(t, c.Set(dead, 1, "a"), context.Canceled)
	}
}
