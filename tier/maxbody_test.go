package tier_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestAValueOverMaxBodyIsReturnedAndNotKept(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	large := strings.Repeat("x", 2000)
	s := sourceOf(map[int]string{1: large, 2: "small"})
	var told atomic.Int32
	c := tiertest.Node(t, env, "test", &options{
		MaxBody: 1024, LocalCost: -1, Policy: aside(s), SoftTTL: 20 * time.Millisecond, OnEvent: func(e tier.Event) {
			if e.Kind == tier.EventRemoteError {
				told.Add(1)
			}
		},
	})
	wide := tiertest.Node(t, env, "test", &options{LocalCost: -1})
	trusted(t, c) // no flush comes between a load and its end any more

	want(t, c, 1, large)
	if r := env.Store.Get(t.Context(), "test/1/{1}")[0]; r.Record != nil || told.Load() != 1 {
		t.Errorf("kept %d bytes; told of %d errors", len(r.Record), told.Load())
	}
	wantErr(t, c.Set(t.Context(), 1, large), tier.ErrTooLarge)

	must(t, wide.Set(t.Context(), 3, large))
	if v, ok, err := c.Peek(t.Context(), 3); ok || err != nil || c.Stats().UndecodableBy[codec.ReasonTooLarge] != 1 {
		t.Errorf("one of another node: %.10q, %v, %+v", v, err, c.Stats())
	}
}

func TestAValueThatGrewTooLargeLeavesNoOlderOneBehind(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	s := sourceOf(map[int]string{1: "small"})
	c := tiertest.Node(t, env, "test", &options{MaxBody: 1024, LocalCost: -1, Policy: aside(s), SoftTTL: time.Minute})
	want(t, c, 1, "small")
	large := strings.Repeat("x", 2000)
	s.Put(1, large)
	must(t, c.Expire(t.Context(), 1))
	eventually(t, "the older value is gone", func() bool {
		_, err := c.Get(t.Context(), 1) // stale at first, while it is loaded anew
		return err == nil && env.Store.Get(t.Context(), "test/1/{1}")[0].Record == nil
	})
	want(t, c, 1, large)
}
