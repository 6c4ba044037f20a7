package tier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

type (
	cache   = tier.Cache[int, string]
	options = tier.Options[int, string]
)

// open makes a cache without bus or remote, unless the options have them.
func open[K comparable, V any](t testing.TB, o *tier.Options[K, V]) *tier.Cache[K, V] {
	t.Helper()
	c, err := tier.New("test", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func aside(s *tiertest.Source[int, string]) policy.Policy[int, string] {
	return policy.CacheAside(s)
}

func sourceOf(values map[int]string) *tiertest.Source[int, string] {
	s := tiertest.NewSource[int, string]()
	for k, v := range values {
		s.Put(k, v)
	}
	return s
}

func want(t testing.TB, c *cache, k int, v string) {
	t.Helper()
	if got, err := c.Get(t.Context(), k); got != v || err != nil {
		t.Fatalf("Get(%d) = %q, %v, want %q", k, got, err, v)
	}
}

func wantErr(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// trusted waits until the nodes serve from their local tiers.
func trusted(t testing.TB, nodes ...*cache) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "a node is trusted", func() bool { return n.Stats().Trusted })
	}
}

// hooked is a driver over another store, with steps in between.
type hooked struct {
	*tiertest.Remote
	afterGet func(keys []string, results []driver.Result)
	onWrite  func(ctx context.Context, ops []driver.Op)
}

func (h *hooked) Get(ctx context.Context, keys []string) []driver.Result {
	r := h.Remote.Get(ctx, keys)
	if h.afterGet != nil {
		h.afterGet(keys, r)
	}
	return r
}

func (h *hooked) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	if h.onWrite != nil {
		h.onWrite(ctx, ops)
	}
	if err := ctx.Err(); err != nil {
		effects := make([]driver.Effect, len(ops))
		for i := range effects {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
		}
		return effects
	}
	return h.Remote.Write(ctx, ops)
}

func newHooked(t testing.TB) (*hooked, *backend.Store) {
	h := &hooked{Remote: tiertest.New(t).Remote}
	return h, backend.New(h)
}

// storeOf adds a remote tier to o, where asked, and turns the local one off.
func storeOf[K comparable, V any](t testing.TB, remote bool, o *tier.Options[K, V]) *tier.Options[K, V] {
	if remote {
		o.Remote, o.LocalCost = tiertest.New(t).Store, -1
	}
	return o
}
