package memo_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/memo"
	"github.com/strata-cache/strata/tier"
)

// onRedis returns what a process has to share cached functions called name by one Redis, and what its bus tells of them.
func onRedis(t *testing.T, url, name string) (*memo.Options, func() (invalidation.Change, bool)) {
	t.Helper()
	store, err := redis.Open(t.Context(), url, nil)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	bus, err := redisbus.New(store, nil)
	must(t, err)
	t.Cleanup(func() { bus.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	changes, err := bus.Watch(ctx, name)
	must(t, err)
	next, stop := iter.Pull(changes)
	t.Cleanup(stop)
	return &memo.Options{Remote: store, Bus: bus, TTL: time.Hour, MaxStaleness: time.Minute}, next
}

// trusted waits until f serves what it holds.
func trusted(t *testing.T, f interface{ Stats() tier.Stats }) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); !f.Stats().Trusted; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never trusted")
		}
	}
}

func TestProcessesShareResultsAndInvalidationsByRedis(t *testing.T) {
	t.Parallel()
	url, name := servertest.SharedRedis(t).URL(), servertest.Key(t)
	var calls atomic.Int32
	offer := func(ctx context.Context, q query) (string, error) {
		tenant, err := tenantOf(ctx)
		return fmt.Sprintf("%s %s %d, call %d", tenant, q.Country, q.Limit, calls.Add(1)), err
	}
	node := func() (*memo.Func[query, string], func() (invalidation.Change, bool)) {
		o, changes := onRedis(t, url, name)
		f := made[*memo.Func[query, string]](t)(memo.New(name, offer, o, memo.ByContext("tenant", tenantOf, withTenant)))
		trusted(t, f)
		return f, changes
	}
	a, _ := node()
	b, changes := node()
	acme, umbrella := withTenant(t.Context(), "acme"), withTenant(t.Context(), "umbrella")
	de, at := query{"de", 1}, query{"at", 1}
	lookup := func(f *memo.Func[query, string], ctx context.Context, q query, from tier.Tier, want string) {
		t.Helper()
		if r, err := f.Lookup(ctx, q); r.Value != want || r.Tier != from || err != nil {
			t.Errorf("%q from %v, %v, want %q from %v", r.Value, r.Tier, err, want, from)
		}
	}
	told := func(tag string) {
		t.Helper()
		for {
			c, ok := changes()
			if !ok {
				t.Fatalf("never told of %s", tag)
			}
			if c.Verb == invalidation.VerbTag && slices.Contains(c.Keys, tag) {
				return
			}
		}
	}
	lookup(a, acme, de, tier.Source, "acme de 1, call 1")
	lookup(a, acme, at, tier.Source, "acme at 1, call 2")
	lookup(b, acme, de, tier.Remote, "acme de 1, call 1") // a call on one is a hit on the other
	lookup(b, acme, at, tier.Remote, "acme at 1, call 2")
	lookup(b, umbrella, de, tier.Source, "umbrella de 1, call 3")
	lookup(b, acme, de, tier.Local, "acme de 1, call 1")

	must(t, a.InvalidateVariant(t.Context(), "country", "de"))
	told("variant/country=de")
	lookup(b, acme, at, tier.Local, "acme at 1, call 2")
	lookup(b, acme, de, tier.Source, "acme de 1, call 4")
	lookup(b, umbrella, de, tier.Source, "umbrella de 1, call 5")
	lookup(a, acme, de, tier.Remote, "acme de 1, call 4")

	must(t, a.InvalidateVariant(t.Context(), "tenant", "umbrella"))
	told("variant/tenant=umbrella")
	lookup(b, umbrella, de, tier.Source, "umbrella de 1, call 6")
	lookup(b, acme, de, tier.Local, "acme de 1, call 4")

	must(t, a.Invalidate(t.Context(), de)) // of all tenants
	told("args/(Country=s2:de,Limit=i:1,)")
	lookup(b, acme, de, tier.Source, "acme de 1, call 7")
	lookup(b, umbrella, de, tier.Source, "umbrella de 1, call 8")
	lookup(b, acme, at, tier.Local, "acme at 1, call 2")
}
