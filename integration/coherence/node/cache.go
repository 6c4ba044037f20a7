package node

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A cache is what is checked.
type cache interface {
	Read(ctx context.Context, key int) (Value, tier.Tier, error)
	ReadMany(ctx context.Context, keys []int) []tier.Entry[Value]
	Set(ctx context.Context, key int, v Value) error
	Invalidate(ctx context.Context, key int) error
	WriteThrough(ctx context.Context, key int) (Value, error)
	Stats() tier.Stats
	Close() error
}

func newCache(ctx context.Context, c *Config, source *Source) (cache, error) {
	if c.Plain {
		return newPlain(ctx, c, source)
	}
	return newStrata(ctx, c, source)
}

// strata is a cache of package tier with the store and the bus that it uses.
type strata struct {
	*tier.Cache[int, Value]
	source *Source
	store  *backend.Store
	bus    *invalidation.Bus
}

const (
	// softTTL lets hot keys be refreshed behind now and then, which is a way of its own to store a value.
	softTTL = 3 * time.Second

	// leaseTTL is the shortest there is, so that leases of nodes which were killed or stopped end within a run.
	leaseTTL = time.Second
)

func newStrata(ctx context.Context, c *Config, source *Source) (cache, error) {
	store, bus, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	o := &tier.Options[int, Value]{
		Remote: store, Bus: bus, Version: c.Run, MaxStaleness: c.MaxStaleness, Policy: policy.CacheAside[int, Value](source),
		TTL: time.Hour, LeaseTTL: leaseTTL, LoadTimeout: 2 * callTimeout,
	}
	if Refuses(c.Node) {
		o.WhenUnreachable = tier.Refuse
	}
	if !c.Traffic.Calm {
		o.SoftTTL, o.Jitter = softTTL, 0.5
	}
	cache, err := tier.New(c.Name, o)
	if err != nil {
		return nil, errors.Join(err, bus.Close(), store.Close())
	}
	return &strata{Cache: cache, source: source, store: store, bus: bus}, nil
}

// Refuses reports whether a node does not write where its fence cannot be placed: every other one.
func Refuses(node int) bool { return node%2 == 1 }

func (s *strata) Read(ctx context.Context, key int) (Value, tier.Tier, error) {
	r, err := s.Lookup(ctx, key)
	return r.Value, r.Tier, err
}

func (s *strata) ReadMany(ctx context.Context, keys []int) []tier.Entry[Value] {
	return s.GetMany(ctx, keys)
}

func (s *strata) Set(ctx context.Context, key int, v Value) error { return s.Cache.Set(ctx, key, v) }

func (s *strata) Invalidate(ctx context.Context, key int) error { return s.Cache.Invalidate(ctx, key) }

// WriteThrough changes the source between BeginWrite and Commit. The value that it returns has version 0 if nothing was
// committed as far as is known.
func (s *strata) WriteThrough(ctx context.Context, key int) (Value, error) {
	w, err := s.BeginWrite(ctx, key)
	if err != nil {
		return Value{}, err
	}
	v, err := s.source.Commit(ctx, key)
	if err != nil {
		w.Abort(ctx, err)
		return Value{}, err
	}
	return v, w.Commit(ctx)
}

func (s *strata) Close() error {
	return errors.Join(s.Cache.Close(), s.bus.Close(), s.store.Close())
}
