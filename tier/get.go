package tier

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/policy"
)

// Get returns the value at key: from the local tier, else from the remote tier in one round trip, else from the policy's
// loader. A key that the source does not have is ErrNotFound, as is a miss without a loader.
//
// Callers that miss at the same time share one load; each waits as long as its own ctx lets it. A local hit does not look
// at ctx and allocates nothing.
func (c *Cache[K, V]) Get(ctx context.Context, key K, options ...Option) (V, error) {
	if len(options) == 0 {
		if e := c.hit(key, c.hash(key), c.loader); e != nil {
			return c.out(e)
		}
	}
	e, _, err := c.get(ctx, "get", key, c.loader, options)
	if err != nil {
		var none V
		return none, err
	}
	return c.out(e)
}

// GetOrLoad is Get with a loader for this call. A load that is under way for the key is shared, whoever's loader it uses.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K, load func(context.Context, K) (V, error), options ...Option) (V, error) {
	if len(options) == 0 {
		if e := c.hit(key, c.hash(key), policy.LoaderFunc[K, V](load)); e != nil {
			return c.out(e)
		}
	}
	e, _, err := c.get(ctx, "get", key, policy.LoaderFunc[K, V](load), options)
	if err != nil {
		var none V
		return none, err
	}
	return c.out(e)
}

// A Result is a value with what is known of it.
type Result[V any] struct {
	Value   V
	Tier    Tier          // where this call found it
	Age     time.Duration // since it was loaded or set, by this machine's clock
	TTL     time.Duration // how long it may still be served from here
	Stale   bool          // a newer one is wanted
	Version uint64        // the source's own, 0 for none
	Tags    []string      // must not be changed
}

// Lookup is Get with what is known of the value.
func (c *Cache[K, V]) Lookup(ctx context.Context, key K, options ...Option) (Result[V], error) {
	e, from, err := c.get(ctx, "lookup", key, c.loader, options)
	if err != nil {
		return Result[V]{}, err
	}
	v, err := c.out(e)
	if err != nil {
		return Result[V]{}, err
	}
	now := mono.Now()
	return Result[V]{
		Value: v, Tier: from, Age: max(0, time.Since(e.created)), TTL: max(0, e.expiry-now),
		Stale: e.stale(now), Version: e.version, Tags: e.tags,
	}, nil
}

// Peek returns the value at key if a tier has it, and whether one does. It never loads. A key of which the cache knows that
// the source does not have it counts as absent.
func (c *Cache[K, V]) Peek(ctx context.Context, key K, options ...Option) (value V, ok bool, err error) {
	e, err := c.peek(ctx, "peek", key, options)
	if err != nil || e == nil || e.negative {
		return value, false, err
	}
	value, err = c.out(e)
	return value, err == nil, err
}

// Contains reports whether Peek would find a value.
func (c *Cache[K, V]) Contains(ctx context.Context, key K, options ...Option) (bool, error) {
	e, err := c.peek(ctx, "contains", key, options)
	return e != nil && !e.negative, err
}

func (c *Cache[K, V]) hash(key K) uint64 { return maphash.Comparable(c.seed, key) }

// hit returns the local entry at key if it may be served, and counts it. It refreshes a stale one behind.
func (c *Cache[K, V]) hit(key K, hash uint64, loader policy.Loader[K, V]) *entry[K, V] {
	if c.local == nil {
		return nil
	}
	now := mono.Now()
	e := c.local.get(hash, key, now)
	if e == nil {
		return nil
	}
	if !c.valid(e, now) {
		c.local.drop(e)
		return nil
	}
	c.hits.add(hash)
	if e.stale(now) {
		c.n.staleHits.Add(1)
		c.refresh(e, now, loader)
	}
	if e.negative {
		c.n.negativeHits.Add(1)
	}
	return e
}

// get returns the entry at key, and the tier where this call found it.
func (c *Cache[K, V]) get(ctx context.Context, op string, key K, loader policy.Loader[K, V], options []Option) (*entry[K, V], Tier, error) {
	opts := plainCall
	if len(options) > 0 {
		var err error
		if opts, err = newCall(options); err != nil {
			return nil, 0, err
		}
	}
	hash := c.hash(key)
	if !opts.skipLocalRead {
		if e := c.hit(key, hash, loader); e != nil {
			return e, Local, nil
		}
	}
	if err := c.enter(); err != nil {
		return nil, 0, err
	}
	defer c.leave()
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	w, err := c.newWant(op, key, hash, loader)
	if err != nil {
		return nil, 0, err
	}
	e, err := c.fly(ctx, w, opts)
	if err != nil {
		return nil, 0, err
	}
	c.arrived(e, loader)
	return e, e.from, nil
}

// arrived counts an entry that is not a local hit, and refreshes it behind if it is stale.
func (c *Cache[K, V]) arrived(e *entry[K, V], loader policy.Loader[K, V]) {
	if e.from == Source {
		c.n.misses.Add(1)
	} else {
		c.n.remoteHits.Add(1)
		if e.negative {
			c.n.negativeHits.Add(1)
		}
	}
	if now := mono.Now(); e.stale(now) {
		c.n.staleHits.Add(1)
		c.refresh(e, now, loader)
	}
}

func (c *Cache[K, V]) peek(ctx context.Context, op string, key K, options []Option) (*entry[K, V], error) {
	opts, err := newCall(options)
	if err != nil {
		return nil, err
	}
	hash := c.hash(key)
	if !opts.skipLocalRead {
		if e := c.hit(key, hash, c.loader); e != nil {
			return e, nil
		}
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	w, err := c.newWant(op, key, hash, nil)
	if err != nil || c.remote == nil || opts.skipRemoteRead {
		return nil, err
	}
	c.capture(w)
	c.read(ctx, opts, []*want[K, V]{w})
	switch {
	case w.err != nil:
		return nil, w.err
	case w.down != nil:
		return nil, &Error{Op: op, Tier: "remote", Key: w.remoteKey, Err: w.down}
	case w.entry != nil:
		c.arrived(w.entry, c.loader)
	}
	return w.entry, nil
}

// out hands the value of e to a caller.
func (c *Cache[K, V]) out(e *entry[K, V]) (V, error) {
	if e.negative {
		var none V
		return none, ErrNotFound
	}
	if c.opts.Clone != nil {
		return c.opts.Clone(e.value), nil
	}
	return e.value, nil
}
