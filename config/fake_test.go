package config_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// A world is servers that a test's configuration may name, and what happened to them.
type world struct {
	hub *membus.Hub

	mu  sync.Mutex
	log []string // "open store URL", "share URL", "close bus URL", …
}

func newWorld() *world { return &world{hub: membus.NewHub()} }

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) drivers() config.Drivers {
	store := func(_ context.Context, url string) (*backend.Store, error) {
		w.note("open store %s", url)
		return backend.New(&fake{w: w, url: url, data: map[string][]byte{}}), nil
	}
	bus := func(_ context.Context, url string, share config.Client) (*invalidation.Bus, error) {
		w.note("open bus %s", url)
		var f *fake
		if share != nil && share.As(&f) {
			w.note("share %s", f.url)
		}
		return invalidation.New(noted{w.hub.Transport(), w, url}, nil), nil
	}
	return config.Drivers{
		Stores: map[string]backend.Opener{
			"memory": store, "redis": store, "memcached": store,
			"broken": func(_ context.Context, url string) (*backend.Store, error) {
				return nil, fmt.Errorf("dial %q: %w", url, errBroken)
			},
		},
		Buses: map[string]config.BusOpener{
			"memory": bus, "redis": bus,
			"broken": func(context.Context, string, config.Client) (*invalidation.Bus, error) { return nil, errBroken },
		},
	}
}

var errBroken = errors.New("broken on purpose")

type noted struct {
	invalidation.Transport
	w   *world
	url string
}

func (n noted) Close() error {
	n.w.note("close bus %s", n.url)
	return n.Transport.Close()
}

// A fake is a remote tier in a map.
type fake struct {
	w   *world
	url string

	mu   sync.Mutex
	data map[string][]byte // guarded by mu
}

func (f *fake) Get(_ context.Context, keys []string) []driver.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	results := make([]driver.Result, len(keys))
	for i, k := range keys {
		results[i].Record = f.data[k]
	}
	return results
}

func (f *fake) Write(_ context.Context, ops []driver.Op) []driver.Effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	effects := make([]driver.Effect, len(ops))
	for i, op := range ops {
		next, done := record.Apply(f.data[op.Key], op.Step, time.Now())
		if !done {
			effects[i] = driver.Effect{Outcome: driver.Refused, Found: f.data[op.Key]}
			continue
		}
		f.data[op.Key] = next
		effects[i].Outcome = driver.Done
	}
	return effects
}

func (f *fake) As(target any) bool {
	if p, ok := target.(**fake); ok {
		*p = f
		return true
	}
	return false
}

func (f *fake) Ping(context.Context) error { return nil }
func (f *fake) String() string             { return "fake" }
func (f *fake) Close() error {
	f.w.note("close store %s", f.url)
	return nil
}
