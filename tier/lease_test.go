package tier_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// got is what a read in the background came to.
type got struct {
	value string
	err   error
	took  time.Duration
}

// getBehind reads key 1 of a node on a goroutine of its own, which ends with the read.
func getBehind(t *testing.T, n *cache) <-chan got {
	done := make(chan got, 1)
	go func() {
		began := time.Now()
		v, err := n.Get(t.Context(), 1)
		done <- got{v, err, time.Since(began)}
	}()
	return done
}

// two makes two nodes over one source in a synctest bubble.
func two(t *testing.T, o options, do func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache)) {
	synctest.Test(t, func(t *testing.T) {
		env, s := tiertest.New(t), sourceOf(map[int]string{1: "v", 2: "w"})
		o.Policy = aside(s)
		a, b := tiertest.Node(t, env, "c", &o), tiertest.Node(t, env, "c", &o)
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		do(t, env, s, a, b)
	})
}

// at returns the record that the remote tier has at key 1 of the cache c.
func at(t *testing.T, env *tiertest.Env) []byte {
	t.Helper()
	r := env.Store.Get(t.Context(), "c/1/{1}")[0]
	must(t, r.Err)
	return r.Record
}

func TestALoadThatStraddlesAnInvalidationOfANodeItCannotHearIsNotStored(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		env.Hub.Pause()
		release := s.Block()
		done := getBehind(t, a)
		must(t, s.AwaitLoads(t.Context(), 1))
		s.Put(1, "new")
		must(t, b.Invalidate(t.Context(), 1))
		release()
		if g := <-done; g.value != "v" {
			t.Fatalf("the load got %+v", g)
		}
		if r := at(t, env); r != nil {
			t.Errorf("the remote tier has %d bytes", len(r))
		}
		want(t, b, 1, "new")
		want(t, a, 1, "new") // it kept nothing either
	})
}

func TestALoadMayTakeLongerThanItsLease(t *testing.T) {
	t.Parallel()
	two(t, options{LeaseTTL: time.Second}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release := s.Block()
		done := getBehind(t, a)
		time.Sleep(10 * time.Second) // of the bubble
		release()
		if g := <-done; g.value != "v" {
			t.Fatalf("the load got %+v", g)
		}
		if r, _ := b.Lookup(t.Context(), 1); r.Tier != tier.Remote {
			t.Errorf("what took longer than its lease came from %v", r.Tier)
		}
	})
}

func TestNodesThatMissTogetherLoadOnceAndTheOthersAreWoken(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release := s.Block()
		first := getBehind(t, a)
		must(t, s.AwaitLoads(t.Context(), 1))
		second := getBehind(t, b)
		time.Sleep(10 * time.Second) // of the bubble
		reads := env.Remote.Reads()
		if reads > 200 {
			t.Errorf("%d reads in ten seconds", reads)
		}
		began := time.Now()
		release()
		<-first
		if g := <-second; g.value != "v" || g.err != nil {
			t.Errorf("who waited got %+v", g)
		}
		if late := time.Since(began); late > time.Millisecond {
			t.Errorf("who waited was woken after %v", late)
		}
		if n := s.Loads(); n != 1 {
			t.Errorf("%d loads", n)
		}
		if n := b.Stats().Waited; n != 1 {
			t.Errorf("%d reads waited", n)
		}
	})
}

func TestTheLeaseOfADeadNodeEnds(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		dead := record.New(record.Header{Kind: record.Lease, Token: record.NewToken(), Expiry: time.Now().Add(5 * time.Second)}, nil)
		e := env.Store.Write(t.Context(), driver.Op{Key: "c/1/{1}", Step: record.Step{Verb: record.Add, Record: dead, TTL: 5 * time.Second}})[0]
		must(t, e.Err)
		g := <-getBehind(t, a)
		if g.value != "v" || g.took < 4*time.Second || g.took > 6*time.Second {
			t.Errorf("%+v, want v after five seconds", g)
		}
		if r, _ := b.Lookup(t.Context(), 1); r.Tier != tier.Remote {
			t.Errorf("the value comes from %v", r.Tier)
		}
	})
}

func TestWhoDoesNotWantToWaitIsToldThatTheCacheIsCold(t *testing.T) {
	t.Parallel()
	two(t, options{OnContention: tier.Fail}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release := s.Block()
		first := getBehind(t, a)
		must(t, s.AwaitLoads(t.Context(), 1))
		g := <-getBehind(t, b)
		var told *tier.Error
		if !errors.Is(g.err, tier.ErrColdCache) || !errors.As(g.err, &told) || told.Key != "c/1/{1}" || g.took != 0 {
			t.Errorf("%+v", g)
		}
		if n := b.Stats().Cold; n != 1 {
			t.Errorf("%d reads found it cold", n)
		}
		release()
		<-first
		want(t, b, 1, "v")
	})
}

func TestALoadThatFailsLetsTheNextOneBegin(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fail := range map[string]func(ctx context.Context, n *cache) error{
		"an error": func(ctx context.Context, n *cache) error {
			_, err := n.GetOrLoad(ctx, 1, func(context.Context, int) (string, error) { return "", broken })
			return err
		},
		"not found": func(ctx context.Context, n *cache) error {
			_, err := n.GetOrLoad(ctx, 1, func(context.Context, int) (string, error) { return "", tier.ErrNotFound })
			return err
		},
		"a panic": func(ctx context.Context, n *cache) error {
			_, err := n.GetOrLoad(ctx, 1, func(context.Context, int) (string, error) { panic("broken") })
			return err
		},
		"given up": func(ctx context.Context, n *cache) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := n.GetOrLoad(ctx, 1, func(ctx context.Context, _ int) (string, error) { <-ctx.Done(); return "", ctx.Err() })
			synctest.Wait() // until the load has ended
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
				if err := fail(t.Context(), a); err == nil {
					t.Fatal("it did not fail")
				}
				if r := at(t, env); r != nil {
					t.Errorf("the remote tier has %d bytes", len(r))
				}
				if g := <-getBehind(t, b); g.value != "v" || g.took != 0 {
					t.Errorf("%+v, want v at once", g)
				}
			})
		})
	}
}

func TestGetManyDoesNotWaitForTheLoadsOfOthers(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release, first := make(chan struct{}), make(chan struct{})
		go func() { // ends with release
			defer close(first)
			_, _ = a.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { <-release; return "of a", nil })
		}()
		synctest.Wait()
		for i, e := range b.GetMany(t.Context(), []int{1, 2}) {
			if e.Err != nil || e.Tier != tier.Source {
				t.Errorf("key %d: %+v", i+1, e)
			}
		}
		if r, ok, _ := b.Peek(t.Context(), 1); ok {
			t.Errorf("b kept %q, which it had no lease for", r)
		}
		if r, _ := b.Lookup(t.Context(), 2); r.Tier != tier.Local {
			t.Errorf("key 2 comes from %v", r.Tier)
		}
		close(release)
		<-first
		want(t, b, 1, "of a")
	})
}
