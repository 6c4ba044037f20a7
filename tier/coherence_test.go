package tier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestNoNodeServesTheOldValueOnceItHeard(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, change := range map[string]func(a *cache, s *tiertest.Source[int, string]) error{
		"invalidate": func(a *cache, _ *tiertest.Source[int, string]) error { return a.Invalidate(ctx, 1) },
		"delete":     func(a *cache, _ *tiertest.Source[int, string]) error { return a.Delete(ctx, 1) },
		"set":        func(a *cache, _ *tiertest.Source[int, string]) error { return a.Set(ctx, 1, "new") },
		"clear":      func(a *cache, _ *tiertest.Source[int, string]) error { return a.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, s := tiertest.New(t), sourceOf(map[int]string{1: "old"})
			var nodes []*cache
			for range 3 {
				nodes = append(nodes, tiertest.Node(t, env, "c", &options{Policy: aside(s), MaxStaleness: time.Minute}))
			}
			trusted(t, nodes...)
			for _, n := range nodes {
				want(t, n, 1, "old")
				want(t, n, 1, "old")
			}
			s.Put(1, "new")
			must(t, change(nodes[0], s))
			want(t, nodes[0], 1, "new")
			for _, n := range nodes[1:] {
				eventually(t, "the announcement is applied", func() bool { return n.Stats().Received == 1 })
				want(t, n, 1, "new")
			}
		})
	}
}

func TestExpireReachesOtherNodes(t *testing.T) {
	t.Parallel()
	env, s := tiertest.New(t), sourceOf(map[int]string{1: "old"})
	o := &options{Policy: aside(s), MaxStaleness: time.Minute}
	a, b := tiertest.Node(t, env, "c", o), tiertest.Node(t, env, "c", o)
	trusted(t, a, b)
	want(t, a, 1, "old")
	want(t, b, 1, "old")
	s.Put(1, "new")
	must(t, a.Expire(t.Context(), 1))
	eventually(t, "the other node serves the new value", func() bool {
		v, err := b.Get(t.Context(), 1)
		return err == nil && v == "new"
	})
}

func TestALoadThatStraddlesAnInvalidationIsNotKept(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"own": true, "another node's": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, s := tiertest.New(t), sourceOf(map[int]string{1: "old"})
			o := &options{Policy: aside(s), MaxStaleness: time.Minute}
			a, b := tiertest.Node(t, env, "c", o), tiertest.Node(t, env, "c", o)
			trusted(t, a, b)
			release := s.Block()
			got := make(chan string, 1)
			go func() { // ends with the load
				v, _ := a.Get(t.Context(), 1)
				got <- v
			}()
			must(t, s.AwaitLoads(t.Context(), 1))
			s.Put(1, "new")
			if own {
				must(t, a.Invalidate(t.Context(), 1))
			} else {
				must(t, b.Invalidate(t.Context(), 1))
				eventually(t, "heard", func() bool { return a.Stats().Received == 1 })
			}
			release()
			if v := <-got; v != "old" {
				t.Fatalf("the load got %q", v)
			}
			if n := a.Stats().RefusedFills; n != 1 {
				t.Errorf("%d fills refused", n)
			}
			want(t, a, 1, "new")
			want(t, b, 1, "new")
		})
	}
}

// bubble makes two nodes in a synctest bubble, which is where their clocks are.
func bubble(t *testing.T, o options, do func(t *testing.T, env *tiertest.Env, a, b *cache)) {
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		a, b := tiertest.Node(t, env, "c", &o), tiertest.Node(t, env, "c", &o)
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		do(t, env, a, b)
	})
}

func TestASilentBusEndsLocalHitsWithinMaxStaleness(t *testing.T) {
	t.Parallel()
	const bound = 2 * time.Second
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: bound}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "old")
		if r, _ := b.Lookup(t.Context(), 1); r.Tier != tier.Local {
			t.Fatalf("before the outage from %v", r.Tier)
		}
		env.Hub.Pause()
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		began, served := time.Now(), time.Duration(-1)
		for time.Since(began) < 3*bound {
			if v, err := b.Get(t.Context(), 1); err != nil {
				t.Fatal(err)
			} else if v == "old" {
				served = time.Since(began)
			}
			time.Sleep(10 * time.Millisecond) // of the bubble
		}
		if served > bound {
			t.Errorf("the old value was served %v after Invalidate returned", served)
		}
		if served < 0 {
			t.Error("the old value was not served at all: the bus was not silent")
		}
		if b.Stats().Trusted {
			t.Error("a node trusts a silent bus")
		}
		env.Hub.Resume()
		time.Sleep(2 * bound)
		synctest.Wait()
		want(t, b, 1, "new")
		if r, _ := b.Lookup(t.Context(), 1); r.Tier != tier.Local {
			t.Errorf("after the outage from %v", r.Tier)
		}
	})
}

func TestALostMessageThatTheLogForgotFlushes(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old", 2: "two"})
	bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		env.Hub.Reach(0)
		want(t, b, 1, "old")
		flushes := b.Stats().Flushes
		env.Hub.Drop(1)
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		want(t, b, 1, "old") // it cannot know
		must(t, a.Invalidate(t.Context(), 2))
		synctest.Wait()
		want(t, b, 1, "new")
		if n := b.Stats().Flushes - flushes; n != 1 {
			t.Errorf("%d flushes", n)
		}
	})
}

func TestWithoutABusALocalValueLivesMaxStaleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env, s := tiertest.New(t), sourceOf(map[int]string{1: "old"})
		node := func() *cache {
			return open(t, &options{Remote: env.Store, Policy: aside(s), MaxStaleness: time.Second})
		}
		a, b := node(), node()
		want(t, b, 1, "old")
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		time.Sleep(999 * time.Millisecond)
		want(t, b, 1, "old")
		time.Sleep(time.Millisecond)
		want(t, b, 1, "new")
	})
}

func TestAnotherVersionOfTheRulesTurnsTheLocalTierOff(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	events := make(chan tier.Event, 100)
	note := func(e tier.Event) {
		if e.Kind == tier.EventMismatch {
			events <- e
		}
	}
	a := tiertest.Node(t, env, "c", &options{OnEvent: note, MaxStaleness: 500 * time.Millisecond})
	trusted(t, a)
	must(t, a.Set(t.Context(), 1, "one"))
	tiertest.Node(t, env, "c", &options{Version: "2", MaxStaleness: 500 * time.Millisecond})
	if e := <-events; e.Err == nil {
		t.Error("an event without a reason")
	}
	for range 3 {
		if r, err := a.Lookup(t.Context(), 1); err != nil || r.Tier != tier.Remote {
			t.Fatalf("after a mismatch: %+v, %v", r, err)
		}
	}
}

func TestABusThatIsDownFailsTheChange(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	c := tiertest.Node[int, string](t, env, "c", nil)
	must(t, c.Set(t.Context(), 1, "one"))
	env.Hub.Stop()
	for name, do := range map[string]func(context.Context) error{
		"set":        func(ctx context.Context) error { return c.Set(ctx, 1, "two") },
		"invalidate": func(ctx context.Context) error { return c.Invalidate(ctx, 1) },
		"clear":      c.Clear,
	} {
		err := do(t.Context())
		wantErr(t, err, tier.ErrInvalidationPending)
		wantErr(t, err, tier.ErrUnavailable)
		if v, ok, _ := c.Peek(t.Context(), 1); ok && v == "one" {
			t.Errorf("%s: the old value is served", name)
		}
	}
}
