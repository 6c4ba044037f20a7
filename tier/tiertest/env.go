package tiertest

import (
	"errors"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier"
)

// An Env is what the nodes of a fleet share, in memory.
type Env struct {
	Store  *backend.Store // what nodes use as Options.Remote
	Remote *Remote        // forces outages of Store, and counts
	Hub    *membus.Hub    // the log that all buses are on; it can lose, pause and stop
}

// New makes an Env that is closed when the test ends.
func New(t testing.TB) *Env {
	t.Helper()
	remote := &Remote{inner: memory.New(nil)}
	env := &Env{Store: backend.New(remote), Remote: remote, Hub: membus.NewHub()}
	t.Cleanup(func() {
		if err := env.Store.Close(); err != nil {
			t.Errorf("tiertest: close the store: %v", err)
		}
	})
	return env
}

// Bus starts a bus of its own, as another process has one, which is closed when the test ends.
func (e *Env) Bus(t testing.TB) *invalidation.Bus {
	t.Helper()
	bus := membus.Bus(e.Hub, nil)
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Errorf("tiertest: close a bus: %v", err)
		}
	})
	return bus
}

// Node makes a cache with the Store of env and a bus of its own, as another process would, unless the options name others.
// Both are closed when the test ends. o may be nil and is not changed.
func Node[K comparable, V any](t testing.TB, env *Env, name string, o *tier.Options[K, V]) *tier.Cache[K, V] {
	t.Helper()
	var opts tier.Options[K, V]
	if o != nil {
		opts = *o
	}
	if opts.Remote == nil {
		opts.Remote = env.Store
	}
	if opts.Bus == nil {
		opts.Bus = env.Bus(t)
	}
	c, err := tier.New(name, &opts)
	if err != nil {
		t.Fatalf("tiertest: %v", err)
	}
	t.Cleanup(func() {
		err := c.Close()
		if _, ok := errors.AsType[*tier.UnrepairedError](err); err != nil && !ok { // that much an outage may leave
			t.Errorf("tiertest: close %q: %v", name, err)
		}
	})
	return c
}
