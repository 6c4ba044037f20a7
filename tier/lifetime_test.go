package tier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestEachTierHasItsTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sourceOf(map[int]string{1: "one"})
		c := open(t, &options{Remote: tiertest.New(t).Store, Policy: aside(s), TTL: time.Minute, LocalTTL: 2 * time.Second, MaxStaleness: time.Hour})
		for _, step := range []struct {
			wait time.Duration
			from tier.Tier
		}{{0, tier.Source}, {1999 * time.Millisecond, tier.Local}, {time.Millisecond, tier.Remote}, {time.Minute, tier.Source}} {
			time.Sleep(step.wait)
			if r, err := c.Lookup(t.Context(), 1); err != nil || r.Tier != step.from {
				t.Fatalf("after %v more: %+v, %v, want from %v", step.wait, r, err, step.from)
			}
		}
	})
}

func TestJitterShortensWithinItsBound(t *testing.T) {
	t.Parallel()
	c := open(t, &options{TTL: 100 * time.Second, Jitter: 0.5})
	least, most := time.Hour, time.Duration(0)
	for k := range 200 {
		must(t, c.Set(t.Context(), k, "v"))
		r, err := c.Lookup(t.Context(), k)
		must(t, err)
		least, most = min(least, r.TTL), max(most, r.TTL)
	}
	if least < 49*time.Second || most > 100*time.Second || most-least < 20*time.Second {
		t.Errorf("TTLs from %v to %v", least, most)
	}
}

func TestNotFoundIsKeptForItsOwnTTL(t *testing.T) {
	t.Parallel()
	for name, remote := range map[string]bool{"local": false, "remote": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sourceOf(nil)
				c := open(t, storeOf(t, remote, &options{Policy: aside(s), NegativeTTL: time.Second, MaxStaleness: time.Hour}))
				for range 3 {
					_, err := c.Get(t.Context(), 1)
					wantErr(t, err, tier.ErrNotFound)
				}
				if st := c.Stats(); s.Loads() != 1 || st.NegativeHits != 2 || st.LoadErrors != 0 {
					t.Fatalf("%d loads, %+v", s.Loads(), st)
				}
				if ok, err := c.Contains(t.Context(), 1); ok || err != nil {
					t.Fatal("contains what is not there", err)
				}
				s.Put(1, "one")
				time.Sleep(time.Second)
				want(t, c, 1, "one")
			})
		})
	}
}

func TestAStaleValueIsServedWhileOneRefreshRuns(t *testing.T) {
	t.Parallel()
	for name, remote := range map[string]bool{"local": false, "remote": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sourceOf(map[int]string{1: "v1"})
				c := open(t, storeOf(t, remote, &options{Policy: aside(s), SoftTTL: time.Second, MaxStaleness: time.Hour}))
				want(t, c, 1, "v1")
				s.Put(1, "v2")
				time.Sleep(time.Second)
				release := s.Block()
				for range 100 {
					want(t, c, 1, "v1")
				}
				synctest.Wait()
				if n := s.Loads(); n != 2 {
					t.Errorf("%d loads for 100 reads of a stale value", n)
				}
				release()
				synctest.Wait()
				want(t, c, 1, "v2")

				s.Remove(1) // a value that is gone at the source ends with its refresh
				time.Sleep(2 * time.Second)
				want(t, c, 1, "v2")
				synctest.Wait()
				_, err := c.Get(t.Context(), 1)
				wantErr(t, err, tier.ErrNotFound)
			})
		})
	}
}

func TestAFailedRefreshKeepsTheValueAndTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		events := 0
		s := sourceOf(map[int]string{1: "v1"})
		c := open(t, &options{Policy: aside(s), SoftTTL: time.Second, OnEvent: func(e tier.Event) {
			if e.Kind == tier.EventRefresh {
				events++
			}
		}})
		want(t, c, 1, "v1")
		time.Sleep(time.Second)
		s.Fail(context.DeadlineExceeded)
		for range 10 {
			want(t, c, 1, "v1")
			synctest.Wait()
		}
		if events != 1 {
			t.Errorf("%d events in one pause", events)
		}
	})
}

func TestARefreshNeverOverwritesANewerSet(t *testing.T) {
	t.Parallel()
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "v1"})
			c := setup(t, options{Policy: aside(s)})
			want(t, c, 1, "v1")
			must(t, c.Expire(t.Context(), 1))
			release := s.Block()
			want(t, c, 1, "v1")
			must(t, s.AwaitLoads(t.Context(), 2))
			must(t, c.Set(t.Context(), 1, "set"))
			release()
			eventually(t, "the refresh is over", func() bool {
				return c.Stats().RefusedFills == 1 || name == "local"
			})
			want(t, c, 1, "set")
		})
	}
}

func TestNothingIsLeftOfASetThatWasCancelledHalfway(t *testing.T) {
	t.Parallel()
	h, store := newHooked(t)
	c := open(t, &options{Remote: store, Policy: aside(sourceOf(map[int]string{1: "source"}))})
	ctx, cancel := context.WithCancel(t.Context())
	h.onWrite = func(_ context.Context, ops []driver.Op) {
		if ops[0].Verb == record.Swap {
			cancel() // between fence and swap
		}
	}
	wantErr(t, c.Set(ctx, 1, "set"), context.Canceled)
	eventually(t, "nothing is left", func() bool {
		return c.Stats().Repairs == 0 && store.Get(t.Context(), "test/1/{1}")[0].Record == nil
	})
	want(t, c, 1, "source")
	if n := c.Stats().Fenced; n != 0 {
		t.Errorf("a reader met a fence")
	}
}

func TestAReaderAtAFenceWaitsAndKeepsNothing(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	c := open(t, &options{Remote: env.Store, Policy: aside(sourceOf(map[int]string{1: "source"}))})
	token := record.NewToken()
	step := func(s record.Step) {
		if e := env.Store.Write(t.Context(), driver.Op{Key: "test/1/{1}", Step: s})[0]; e.Outcome != driver.Done {
			t.Fatalf("%v: %v", s.Verb, e)
		}
	}
	step(record.Step{Verb: record.Place, Expect: token, TTL: time.Minute})
	for i := range 2 {
		if r, err := c.Lookup(t.Context(), 1); err != nil || r.Tier != tier.Source {
			t.Fatalf("read %d at a fence: %+v, %v", i, r, err)
		}
	}
	if n := c.Stats().Fenced; n != 2 {
		t.Errorf("%d reads were fenced", n)
	}
	step(record.Step{Verb: record.Leave, Expect: token})
	want(t, c, 1, "source")
	if r, _ := c.Lookup(t.Context(), 1); r.Tier != tier.Local {
		t.Errorf("after the fence from %v", r.Tier)
	}
}
