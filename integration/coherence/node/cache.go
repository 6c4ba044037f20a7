package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A cache is what is checked.
type cache interface {
	Read(ctx context.Context, key int, fresh bool) (Value, tier.Tier, error)
	ReadMany(ctx context.Context, keys []int) []tier.Entry[Value]
	Write(ctx context.Context, c *change) error
	Stats() tier.Stats
	Close() error
}

func newCache(ctx context.Context, c *Config, source *Source) (cache, error) {
	if c.Plain {
		return newPlain(ctx, c, source)
	}
	return newStrata(ctx, c, source)
}

// strata is two caches of package tier, with the store and the bus that they use.
type strata struct {
	aside, through *tier.Cache[int, Value] // the second writes its source
	store          *backend.Store
	bus            *invalidation.Bus

	process history.Process
	calm    bool // all keys are of the first
	names   atomic.Int64
}

const (
	// softTTL lets hot keys be refreshed behind now and then, which is a way of its own to store a value.
	softTTL = 3 * time.Second

	// leaseTTL is the shortest there is, so that leases of nodes which were killed or stopped end within a run.
	leaseTTL = time.Second

	// sourceSettle is more than the source takes for a commit to which it has given no answer.
	sourceSettle = 3 * time.Second
)

func newStrata(ctx context.Context, c *Config, source *Source) (cache, error) {
	store, bus, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &strata{store: store, bus: bus, process: c.Process, calm: c.Traffic.Calm}
	if s.aside, err = newTier(c, s, c.Name, policy.CacheAside[int, Value](source)); err == nil {
		s.through, err = newTier(c, s, c.Name+"-through", policy.WriteThrough[int, Value](source))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newTier(c *Config, s *strata, name string, p policy.Policy[int, Value]) (*tier.Cache[int, Value], error) {
	o := &tier.Options[int, Value]{
		Remote: s.store, Bus: s.bus, Version: c.Run, MaxStaleness: c.MaxStaleness, Policy: p,
		TTL: time.Hour, LeaseTTL: leaseTTL, SourceSettle: sourceSettle, LoadTimeout: 2 * callTimeout,
	}
	if Refuses(c.Node) {
		o.WhenUnreachable = tier.Refuse
	}
	if !c.Traffic.Calm {
		o.SoftTTL, o.Jitter = softTTL, 0.5
	}
	return tier.New(name, o)
}

// Refuses reports whether a node does not write where its fence cannot be placed: every other one.
func Refuses(node int) bool { return node%2 == 1 }

// of returns the cache that a key belongs to.
func (s *strata) of(key int) *tier.Cache[int, Value] {
	if isThrough(key) && !s.calm {
		return s.through
	}
	return s.aside
}

// newName names a version that is not committed yet, as no other process does.
func (s *strata) newName() int64 {
	return -(int64(s.process.Node)<<56 + int64(s.process.Life)<<40 + s.names.Add(1))
}

func (s *strata) Read(ctx context.Context, key int, fresh bool) (Value, tier.Tier, error) {
	var options []tier.Option
	if fresh {
		options = append(options, tier.Fresh())
	}
	r, err := s.of(key).Lookup(ctx, key, options...)
	return r.Value, r.Tier, err
}

func (s *strata) ReadMany(ctx context.Context, keys []int) []tier.Entry[Value] {
	entries := make([]tier.Entry[Value], len(keys))
	for _, cache := range []*tier.Cache[int, Value]{s.aside, s.through} {
		var mine, at []int
		for i, key := range keys {
			if s.of(key) == cache {
				mine, at = append(mine, key), append(at, i)
			}
		}
		for i, e := range cache.GetMany(ctx, mine) {
			entries[at[i]] = e
		}
	}
	return entries
}

// Stats are those of which somebody asks.
func (s *strata) Stats() tier.Stats {
	a, b := s.aside.Stats(), s.through.Stats()
	return tier.Stats{Trusted: a.Trusted && b.Trusted, Repairs: a.Repairs + b.Repairs}
}

func (s *strata) Close() error {
	var errs []error
	for _, cache := range []*tier.Cache[int, Value]{s.aside, s.through} {
		if cache != nil {
			errs = append(errs, cache.Close())
		}
	}
	return errors.Join(errors.Join(errs...), s.bus.Close(), s.store.Close())
}
