package tier_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// counted is a codec that counts what it decodes.
type counted struct {
	codec.Codec[string]
	decoded *atomic.Int32
}

func (c counted) Decode(b []byte) (string, error) {
	c.decoded.Add(1)
	return c.Codec.Decode(b)
}

func wantFresh(t *testing.T, c *cache, k int, v string) tier.Result[string] {
	t.Helper()
	r, err := c.Lookup(t.Context(), k, tier.Fresh())
	if err != nil || r.Value != v || r.Stale {
		t.Errorf("fresh: %+v, %v, want %q", r, err, v)
	}
	return r
}

func TestAFreshReadMissesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	type change = func(ctx context.Context, a *cache, s *tiertest.Source[int, string]) error
	for name, do := range map[string]change{
		"set": func(ctx context.Context, a *cache, _ *tiertest.Source[int, string]) error {
			return a.Set(ctx, 1, "new")
		},
		"invalidate": func(ctx context.Context, a *cache, s *tiertest.Source[int, string]) error {
			s.Put(1, "new")
			return a.Invalidate(ctx, 1)
		},
		"clear": func(ctx context.Context, a *cache, s *tiertest.Source[int, string]) error {
			s.Put(1, "new")
			return a.Clear(ctx)
		},
		"tag": func(ctx context.Context, a *cache, s *tiertest.Source[int, string]) error {
			s.Put(1, "new")
			return a.InvalidateTag(ctx, "t")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "old"})
			bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
				must(t, a.Set(t.Context(), 1, "old", tier.WithTags("t")))
				synctest.Wait()
				want(t, b, 1, "old")
				env.Hub.Pause()
				must(t, do(t.Context(), a, s))
				want(t, b, 1, "old") // it has not heard of it, and may not have for a minute
				wantFresh(t, b, 1, "new")
				want(t, b, 1, "new")
				if e := b.GetMany(t.Context(), []int{1, 1}, tier.Fresh()); e[0].Value != "new" || e[1].Value != "new" {
					t.Errorf("of many: %+v", e)
				}
				if v, ok, err := b.Peek(t.Context(), 1, tier.Fresh()); v != "new" || !ok || err != nil {
					t.Errorf("peek: %q, %v, %v", v, ok, err)
				}
			})
		})
	}
}

func TestAFreshReadOfWhatIsHeldCostsOneRoundTripAndNoDecoding(t *testing.T) {
	t.Parallel()
	decoded := new(atomic.Int32)
	o := options{Policy: aside(sourceOf(map[int]string{1: "v"})), Codec: counted{codec.String(), decoded}, MaxStaleness: time.Minute}
	bubble(t, o, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, a, 1, "v")
		want(t, b, 1, "v")
		before, reads, writes := decoded.Load(), env.Remote.Reads(), env.Remote.Writes()
		if r := wantFresh(t, b, 1, "v"); r.Tier != tier.Remote {
			t.Errorf("found in the %v tier", r.Tier)
		}
		if n := decoded.Load() - before; n != 0 {
			t.Errorf("%d values were decoded", n)
		}
		if r, w := env.Remote.Reads()-reads, env.Remote.Writes()-writes; r != 1 || w != 0 {
			t.Errorf("%d reads and %d writes", r, w)
		}
		b.GetMany(t.Context(), []int{1, 1}, tier.Fresh())
		if r := env.Remote.Reads() - reads; r != 2 || decoded.Load() != before {
			t.Errorf("of many: %d reads, %d values decoded", r-1, decoded.Load()-before)
		}
	})
}

func TestAFreshReadDuringAnOutageIsTheSourcesOrAnError(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "old")
		env.Remote.Down()
		s.Put(1, "new")
		reads := env.Remote.Reads()
		if r := wantFresh(t, b, 1, "new"); r.Tier != tier.Source {
			t.Errorf("from the %v tier", r.Tier)
		}
		if n := env.Remote.Reads() - reads; n != 1 {
			t.Errorf("the remote tier was asked %d times", n)
		}
		s.Fail(errors.New("source down"))
		if v, err := b.Get(t.Context(), 1, tier.Fresh()); err == nil {
			t.Errorf("both down, and the answer %q", v)
		}
		_, _, err := b.Peek(t.Context(), 1, tier.Fresh())
		wantErr(t, err, tier.ErrUnavailable)
	})
}

func TestAFreshReadJoinsNoLoadThatBeganBefore(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		release := s.Block()
		first := getBehind(t, b)
		must(t, s.AwaitLoads(t.Context(), 1))
		env.Hub.Pause()
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		fresh := make(chan string, 2)
		for range 2 {
			go func() {
				v, err := b.Get(context.Background(), 1, tier.Fresh())
				fresh <- fmt.Sprint(v, err)
			}()
		}
		synctest.Wait()
		release()
		if g := <-first; g.value != "old" {
			t.Errorf("the first read: %+v", g)
		}
		for range 2 {
			if v := <-fresh; v != "new<nil>" {
				t.Errorf("a fresh read: %v", v)
			}
		}
		if n := s.Loads(); n != 2 {
			t.Errorf("%d loads, want one that was too old, and one for both fresh reads", n)
		}
	})
}

func TestAFreshReadAtAFenceReadsTheSource(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "old")
		step(t, env, record.Step{Verb: record.Place, Expect: record.NewToken(), TTL: 5 * time.Second})
		s.Put(1, "new")
		wantFresh(t, b, 1, "new")
	})
}

func TestAFreshReadWithoutARemoteTierLoadsIfOthersMayHaveWritten(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old"})
	alone := open(t, &options{Policy: aside(s)})
	want(t, alone, 1, "old")
	loads := s.Loads()
	wantFresh(t, alone, 1, "old")
	if s.Loads() != loads {
		t.Error("a cache that nobody else can write loaded anew")
	}
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		c := open(t, &options{Policy: aside(s), Bus: env.Bus(t)})
		time.Sleep(time.Minute) // of the bubble
		want(t, c, 1, "old")
		s.Put(1, "new")
		want(t, c, 1, "old")
		wantFresh(t, c, 1, "new")
		want(t, c, 1, "new")
	})
}

func TestOptionsThatExcludeEachOtherAreErrors(t *testing.T) {
	t.Parallel()
	c := open(t, &options{Policy: aside(sourceOf(nil))})
	for _, o := range [][]tier.Option{{tier.Fresh(), tier.AllowStale()}, {tier.Fresh(), tier.SkipRemoteRead()}} {
		if _, err := c.Get(t.Context(), 1, o...); err == nil || errors.Is(err, tier.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// wantStale expects the value v of a read that allows stale ones, marked as such.
func wantStale(t *testing.T, c *cache, k int, v string) {
	t.Helper()
	r, err := c.Lookup(t.Context(), k, tier.AllowStale())
	if err != nil || r.Value != v || !r.Stale {
		t.Errorf("%+v, %v, want %q, stale", r, err, v)
	}
	if e := c.GetMany(t.Context(), []int{k}, tier.AllowStale())[0]; e.Err != nil || e.Value != v || !e.Stale {
		t.Errorf("of many: %+v, want %q, stale", e, v)
	}
	if p, ok, err := c.Peek(t.Context(), k, tier.AllowStale()); p != v || !ok || err != nil {
		t.Errorf("peek: %q, %v, %v, want %q", p, ok, err, v)
	}
}

func TestAllowStaleServesAValuePastItsTTLWhileItIsLoadedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sourceOf(map[int]string{1: "old"})
		c := open(t, &options{Policy: aside(s), TTL: time.Minute})
		want(t, c, 1, "old")
		s.Put(1, "new")
		time.Sleep(time.Minute)
		release := s.Block()
		wantStale(t, c, 1, "old")
		release()
		synctest.Wait()
		if r, err := c.Lookup(t.Context(), 1, tier.AllowStale()); r.Value != "new" || r.Stale || r.Tier != tier.Local {
			t.Errorf("after the load behind: %+v, %v", r, err)
		}
		if n := s.Loads(); n != 2 {
			t.Errorf("%d loads", n)
		}
		s.Put(1, "newer")
		time.Sleep(2 * time.Minute)
		if r, err := c.Lookup(t.Context(), 1, tier.AllowStale()); r.Value != "newer" || r.Stale {
			t.Errorf("twice its TTL later: %+v, %v", r, err)
		}
	})
}

// blackout makes sure that nothing but local values can be had, and that nobody vouches for those.
func blackout(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string]) {
	t.Helper()
	env.Hub.Stop()
	env.Remote.Down()
	s.Fail(errors.New("source down"))
	time.Sleep(time.Minute) // of the bubble
}

func TestAllowStaleServesWhatNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "v"})
	bubble(t, options{Policy: aside(s)}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "v")
		blackout(t, env, s)
		for range 2 { // the first must not take away what the second is to have
			if v, err := b.Get(t.Context(), 1); err == nil {
				t.Errorf("a read that does not allow it got %q", v)
			}
			wantStale(t, b, 1, "v")
		}
		// Back, on another log: messages may have been missed, and nobody knows.
		env.Hub.Start()
		env.Hub.Restart()
		time.Sleep(time.Minute) // of the bubble
		if !b.Stats().Trusted || b.Stats().Flushes == 0 {
			t.Fatal("the bus is not heard again, or nothing was given up")
		}
		if v, err := b.Get(t.Context(), 1); err == nil {
			t.Errorf("a read that does not allow it got %q", v)
		}
		wantStale(t, b, 1, "v")
	})
}

func TestAllowStaleNeverServesWhatThisNodeKnowsToBeInvalid(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, a, b *cache) error{
		"own invalidation":        func(ctx context.Context, _, b *cache) error { return b.Invalidate(ctx, 1) },
		"own set elsewhere":       func(ctx context.Context, _, b *cache) error { return b.Set(ctx, 1, "new", tier.SkipLocalWrite()) },
		"own clear":               func(ctx context.Context, _, b *cache) error { return b.Clear(ctx) },
		"invalidation heard of":   func(ctx context.Context, a, _ *cache) error { return a.Invalidate(ctx, 1) },
		"set heard of":            func(ctx context.Context, a, _ *cache) error { return a.Set(ctx, 1, "new") },
		"tag heard of":            func(ctx context.Context, a, _ *cache) error { return a.InvalidateTag(ctx, "t") },
		"prefix heard of":         func(ctx context.Context, a, _ *cache) error { return a.InvalidatePrefix(ctx, "") },
		"clear heard of":          func(ctx context.Context, a, _ *cache) error { return a.Clear(ctx) },
		"own write that is doubt": func(ctx context.Context, _, b *cache) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "old"})
			bubble(t, options{Policy: aside(s)}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
				must(t, a.Set(t.Context(), 1, "old", tier.WithTags("t")))
				synctest.Wait()
				want(t, b, 1, "old")
				must(t, do(t.Context(), a, b))
				synctest.Wait()
				if name == "own write that is doubt" {
					env.Remote.Down()
					if err := b.Set(t.Context(), 1, "new"); err == nil {
						t.Fatal("a Set without a remote tier was acknowledged")
					}
				}
				blackout(t, env, s)
				if r, err := b.Lookup(t.Context(), 1, tier.AllowStale()); err == nil {
					t.Errorf("got %+v", r)
				}
				env.Remote.Up()
				env.Hub.Start()
			})
		})
	}
}

// lagging is a store with a replica, which is asked for old values, and answers also while the store is down.
type lagging struct {
	*tiertest.Remote
	replica *backend.Store
}

func (l lagging) GetStale(ctx context.Context, keys []string) []driver.Result {
	return l.replica.Get(ctx, keys...)
}

func TestAllowStaleAsksReplicasWhereAllElseFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env, s := tiertest.New(t), sourceOf(map[int]string{1: "one", 2: "two"})
		replica := tiertest.New(t)
		l := lagging{env.Remote, replica.Store}
		store := backend.New(l)
		node := func(o options) *cache {
			o.Policy, o.MaxStaleness = aside(s), time.Minute
			return tiertest.Node(t, env, "c", &o)
		}
		writer := tiertest.Node(t, replica, "c", &options{Policy: aside(s), Bus: env.Bus(t)})
		a := node(options{Remote: store})
		time.Sleep(time.Minute) // of the bubble
		want(t, writer, 1, "one")
		want(t, writer, 2, "two")
		must(t, a.Invalidate(t.Context(), 2))
		env.Remote.Down()
		s.Fail(errors.New("source down"))
		if v, err := a.Get(t.Context(), 1); err == nil {
			t.Errorf("a read that does not allow it got %q", v)
		}
		wantStale(t, a, 1, "one")
		if r, err := a.Lookup(t.Context(), 2, tier.AllowStale()); err == nil {
			t.Errorf("a replica's %+v of a key that was invalidated", r)
		}
		env.Remote.Up()
		s.Fail(nil)
		if r, err := a.Lookup(t.Context(), 1, tier.AllowStale()); err != nil || r.Stale || r.Tier != tier.Source {
			t.Errorf("what a replica told was kept: %+v, %v", r, err)
		}
	})
}

func TestWaitingForNodesMakesAllServeTheNewValueAtOnce(t *testing.T) {
	t.Parallel()
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "old")
		s.Put(1, "new")
		must(t, a.Invalidate(t.Context(), 1))
		must(t, a.WaitForNodes(t.Context()))
		want(t, b, 1, "new")
		env.Hub.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s.Put(1, "newer")
		if err := a.Invalidate(ctx, 1); err == nil {
			t.Fatal("a bus that is down took an announcement")
		}
		done := make(chan error, 1)
		go func() { done <- b.WaitForNodes(ctx) }()
		must(t, b.Close())
		if err := <-done; err != nil && !errors.Is(err, tier.ErrClosed) {
			t.Error(err)
		}
		wantErr(t, b.WaitForNodes(ctx), tier.ErrClosed)
		env.Hub.Start()
	})
	alone := open(t, &options{Policy: aside(s)})
	wantErr(t, alone.WaitForNodes(t.Context()), tier.ErrUnsupported)
}
