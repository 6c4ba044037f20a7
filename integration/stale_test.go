package integration_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// sampling is a node on a Redis of its own store and bus, which compares its values and counts what it finds.
func sampling(t *testing.T, url, name string, s *source, bound time.Duration) (c *cache, store *backend.Store, events *atomic.Pointer[tier.Event]) {
	t.Helper()
	store, events = openStore(t, url), new(atomic.Pointer[tier.Event])
	bus, err := redisbus.New(store, nil)
	must(t, err)
	t.Cleanup(func() { bus.Close() })
	c, err = tier.New(name, &tier.Options[int, string]{
		Remote: store, Bus: bus, MaxStaleness: bound, Policy: policy.CacheAside(s), StaleSample: 500,
		OnEvent: func(e tier.Event) {
			if e.Kind == tier.EventStale {
				events.Store(&e)
			}
		},
	})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	eventually(t, "trust", func() bool { return c.Stats().Trusted })
	return c, store, events
}

// replace puts another value where store has one, as nobody does who keeps to the rules: it tells nobody.
func replace(t *testing.T, store *backend.Store, key, value string) (created time.Time) {
	t.Helper()
	found := store.Get(t.Context(), key)[0]
	h, body, ok := record.Parse(found.Record)
	if !ok {
		t.Fatalf("%s has %+v", key, found)
	}
	seal := codec.Seal{Key: store.Key(key), Version: h.Version, Kind: byte(h.Kind), Token: h.Token}
	format := codec.Format[string]{Codec: codec.String()}
	_, env, err := format.Decode(body, seal)
	must(t, err)
	old := h.Token
	h.Token, env.Created = record.NewToken(), time.Now()
	seal.Token = h.Token
	r, err := format.Encode(record.AppendHeader(nil, h), &env, seal, value)
	must(t, err)
	e := store.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Swap, Expect: old, Record: r, TTL: time.Until(h.Expiry)}})[0]
	if e.Outcome != driver.Done {
		t.Fatalf("%s: %+v", key, e)
	}
	return env.Created
}

func TestAValueChangedBehindTheCacheIsFoundAsStaleAsItIs(t *testing.T) {
	t.Parallel()
	s := tiertest.NewSource[int, string]()
	s.Put(1, "old")
	name := servertest.Key(t)
	c, store, events := sampling(t, servertest.SharedRedis(t).URL(), name, s, maxStaleness)
	get := func() string {
		v, err := c.Get(t.Context(), 1)
		must(t, err)
		return v
	}
	if v := get(); v != "old" {
		t.Fatal(v)
	}
	key := name + "/1/{1}"
	created := replace(t, store, key, "new")
	eventually(t, "it is found older than the bound", func() bool {
		// Where the node was not trusted for a while, it has read the new value by now. It is changed again then.
		if c.Stats().Staleness.Oldest <= maxStaleness && get() == "new" {
			must(t, c.Invalidate(t.Context(), 1))
			get()
			created = replace(t, store, key, "new")
		}
		return events.Load() != nil
	})
	if st, since := c.Stats().Staleness, time.Since(created); st.Oldest <= maxStaleness || st.Oldest > since || st.Stale == 0 {
		t.Errorf("%+v, %v after the change", st, since)
	}
	if e := events.Load(); e.Key != key {
		t.Errorf("told of %q, want %q: %v", e.Key, key, e.Err)
	}
}

func TestNoValueIsStalePastTheBoundWhereAllIsAnnounced(t *testing.T) {
	t.Parallel()
	const bound, keys = 10 * time.Second, 20 // on a busy machine announcements are slow
	s := tiertest.NewSource[int, string]()
	name, url := servertest.Key(t), servertest.SharedRedis(t).URL()
	a, _, eventsA := sampling(t, url, name, s, bound)
	b, _, eventsB := sampling(t, url, name, s, bound)
	nodes := []*cache{a, b}
	for k := range keys {
		s.Put(k, "first")
	}
	compared := func() uint64 { return min(a.Stats().Staleness.Compared, b.Stats().Staleness.Compared) }
	for i := 0; i < 200 || compared() < 200; i++ {
		k, v := i%keys, fmt.Sprint(i)
		s.Put(k, v)
		if c := nodes[i/7%2]; i%2 == 0 {
			must(t, c.Invalidate(t.Context(), k))
		} else {
			must(t, c.Set(t.Context(), k, v))
		}
		for _, c := range nodes {
			for range 5 {
				_, err := c.Get(t.Context(), i*3%keys)
				must(t, err)
			}
		}
	}
	for i, c := range nodes {
		if st := c.Stats().Staleness; st.Oldest > bound {
			t.Errorf("node %d: %+v", i, st)
		}
	}
	if x, y := eventsA.Load(), eventsB.Load(); x != nil || y != nil {
		t.Errorf("told of %v, %v", x, y)
	}
}

// Off, the detector sends nothing; on, one command for up to 64 values.
func TestComparisonsCostOneCommandABatch(t *testing.T) {
	t.Parallel()
	const keys = 100
	nodes := map[int]*cache{}
	taps := map[int]*tap{}
	for _, rate := range []int{0, 500} {
		taps[rate] = newTap(t, servertest.SharedRedis(t).URL(), redisCommand)
		c, err := tier.New(servertest.Key(t), &tier.Options[int, string]{
			Remote: openStore(t, taps[rate].url), MaxStaleness: time.Hour, StaleSample: rate,
		})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		for k := range keys {
			must(t, c.Set(t.Context(), k, "v"))
		}
		nodes[rate] = c
	}
	off, which := taps[0].sum()
	on, _ := taps[500].sum()
	before := nodes[500].Stats().Staleness.Compared
	eventually(t, "500 comparisons", func() bool { return nodes[500].Stats().Staleness.Compared >= before+500 })
	for k := range keys {
		if _, err := nodes[0].Get(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	compared := nodes[500].Stats().Staleness.Compared - before
	if n, now := taps[0].sum(); n != off || nodes[0].Stats().Staleness.Compared != 0 {
		t.Errorf("off, there were %d commands: from %s to %s", n-off, which, now)
	}
	// One batch may have been under way at either end.
	if n, now := taps[500].sum(); uint64(n-on) > compared/(64/2)+2 {
		t.Errorf("%d comparisons cost %d commands: %s", compared, n-on, now)
	}
}
