package tier_test

import (
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestDuringAnOutageReadsGoToTheSourceAndKeepNothing(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func(*tiertest.Env){
		"unavailable": func(e *tiertest.Env) { e.Remote.Down() },
		"closed":      func(e *tiertest.Env) { e.Store.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, s := tiertest.New(t), sourceOf(map[int]string{1: "one"})
			var events int
			c := open(t, &options{Remote: env.Store, Policy: aside(s), OnEvent: func(tier.Event) { events++ }})
			down(env)
			for range 3 {
				want(t, c, 1, "one")
				if e := c.GetMany(t.Context(), []int{1})[0]; e.Err != nil || e.Tier != tier.Source {
					t.Fatalf("GetMany: %+v", e)
				}
			}
			if n := s.Loads(); n != 6 {
				t.Errorf("%d loads of 6 reads", n)
			}
			if n := c.Stats().RemoteErrors; n != 6 || events != 6 {
				t.Errorf("%d remote errors, %d events", n, events)
			}
		})
	}
}

func TestARecordThatCannotBeUsedIsACountedMissAndIsReplaced(t *testing.T) {
	t.Parallel()
	const key = "test/1/{1}"
	type other struct{ Name string }
	for name, spoil := range map[string]func(t *testing.T, b []byte) []byte{
		"a flipped bit": func(_ *testing.T, b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":           func(_ *testing.T, b []byte) []byte { return b[:len(b)-2] },
		"no body":       func(_ *testing.T, b []byte) []byte { return b[:record.HeaderLen] },
		"of another key": func(t *testing.T, _ []byte) []byte {
			env := tiertest.New(t)
			must(t, open(t, &options{Remote: env.Store}).Set(t.Context(), 2, "two"))
			return env.Store.Get(t.Context(), "test/1/{2}")[0].Record
		},
		"of another type": func(t *testing.T, _ []byte) []byte {
			env := tiertest.New(t)
			must(t, open(t, &tier.Options[int, other]{Remote: env.Store}).Set(t.Context(), 1, other{"x"}))
			return env.Store.Get(t.Context(), key)[0].Record
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, s := tiertest.New(t), sourceOf(map[int]string{1: "source"})
			node := func() *cache { return open(t, &options{Remote: env.Store, Policy: aside(s)}) }
			must(t, node().Set(t.Context(), 1, "set"))
			good := env.Store.Get(t.Context(), key)[0].Record
			bad := spoil(t, slices.Clone(good))
			e := env.Store.Write(t.Context(), driver.Op{Key: key, Step: record.Step{
				Verb: record.Swap, Expect: record.TokenOf(good), Record: bad, TTL: time.Minute,
			}})[0]
			if e.Outcome != driver.Done {
				t.Fatal(e)
			}
			c := node()
			want(t, c, 1, "source")
			if st := c.Stats(); st.Undecodable != 1 || st.Misses != 1 || st.RemoteHits != 0 {
				t.Errorf("%+v", st)
			}
			if r, err := node().Lookup(t.Context(), 1); err != nil || r.Tier != tier.Remote || r.Value != "source" {
				t.Errorf("it was not replaced: %+v, %v", r, err)
			}
		})
	}
}
