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
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
)

// A world is servers that a test's configuration may name, and what happened to them.
type world struct {
	hub *membus.Hub

	shared map[string][]byte // of all stores; nil: each has its own

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
		f := &fake{w: w, url: url, data: w.shared}
		if f.data == nil {
			f.data = map[string][]byte{}
		}
		return backend.New(f), nil
	}
	bus := func(_ context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
		w.note("open bus %s", url)
		var f *fake
		if share != nil && share.As(&f) {
			w.note("share %s", f.url)
		}
		if o.Keys != nil {
			w.note("%v, unsigned %t", o.Keys, o.AcceptUnsigned)
		}
		return invalidation.New(noted{w.hub.Transport().(keeper), w, url}, o), nil
	}
	pool := func(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error) {
		w.note("open store %s", url)
		value, epoch, err := members.Load(ctx)
		if err == nil && epoch == 0 {
			value = []byte(url)
			_, _, err = members.Swap(ctx, value, 0)
		}
		w.note("members %s, error %v", value, err)
		return backend.New(&fake{w: w, url: url, data: map[string][]byte{}}), nil
	}
	open := func(_ context.Context, url string, share config.Client) (journal.Journal, error) {
		w.note("open journal %s", url)
		var f *fake
		if share != nil && share.As(&f) {
			w.note("share %s", f.url)
		}
		return notedJournal{memjournal.New(), w, url}, nil
	}
	return config.Drivers{
		Journals: map[string]config.JournalOpener{
			"memory": open, "redis": open, "file": open,
			"broken": func(context.Context, string, config.Client) (journal.Journal, error) { return nil, errBroken },
		},
		Pools: map[string]config.PoolOpener{"memcached": pool},
		Compression: func(algorithm string, threshold int) (codec.Compressor, error) {
			a, err := compression.ParseAlgorithm(algorithm)
			if err != nil {
				return nil, err
			}
			return compression.New(&compression.Options{Algorithm: a, Threshold: threshold})
		},
		Encryption: func(keys []config.Key) (codec.Cipher, error) {
			var ring []encryption.Key
			for _, k := range keys {
				key, err := encryption.ParseKey(k.ID, k.Secret)
				if err != nil {
					return nil, err
				}
				ring = append(ring, key)
			}
			return encryption.New(ring[0], ring[1:]...)
		},
		Stores: map[string]backend.Opener{
			"memory": store, "redis": store, "memcached": store,
			"broken": func(_ context.Context, url string) (*backend.Store, error) {
				return nil, fmt.Errorf("dial %q: %w", url, errBroken)
			},
		},
		Buses: map[string]config.BusOpener{
			"memory": bus, "redis": bus,
			"broken": func(context.Context, string, config.Client, *invalidation.Options) (*invalidation.Bus, error) {
				return nil, errBroken
			},
		},
	}
}

var errBroken = errors.New("broken on purpose")

// A keeper is a transport with registers, as that of membus is.
type keeper interface {
	invalidation.Transport
	invalidation.Registrar
}

type noted struct {
	keeper
	w   *world
	url string
}

func (n noted) Close() error {
	n.w.note("close bus %s", n.url)
	return n.keeper.Close()
}

type notedJournal struct {
	journal.Journal
	w   *world
	url string
}

func (n notedJournal) Close() error {
	n.w.note("close journal %s", n.url)
	return n.Journal.Close()
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
