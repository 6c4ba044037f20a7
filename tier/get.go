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
	found, err := c.get(ctx, "get", key, c.loader, options)
	if err != nil {
		var none V
		return none, err
	}
	return c.out(found.e)
}

// GetOrLoad is Get with a loader for this call. A load that is under way for the key is shared, whoever's loader it uses.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K, load func(context.Context, K) (V, error), options ...Option) (V, error) {
	if len(options) == 0 {
		if e := c.hit(key, c.hash(key), policy.LoaderFunc[K, V](load)); e != nil {
			return c.out(e)
		}
	}
	found, err := c.get(ctx, "get", key, policy.LoaderFunc[K, V](load), options)
	if err != nil {
		var none V
		return none, err
	}
	return c.out(found.e)
}

// A Result is a value with what is known of it.
type Result[V any] struct {
	Value   V
	Tier    Tier          // where this call found it
	Age     time.Duration // since it was loaded or set, by this machine's clock
	TTL     time.Duration // how long it may still be served from here
	Stale   bool          // a newer one is wanted, or this one may be served only because the call allows it
	Version uint64        // the source's own, 0 for none
	Tags    []string      // must not be changed
}

// Lookup is Get with what is known of the value.
func (c *Cache[K, V]) Lookup(ctx context.Context, key K, options ...Option) (Result[V], error) {
	found, err := c.get(ctx, "lookup", key, c.loader, options)
	if err != nil {
		return Result[V]{}, err
	}
	e := found.e
	v, err := c.out(e)
	if err != nil {
		return Result[V]{}, err
	}
	now := mono.Now()
	return Result[V]{
		Value: v, Tier: found.from, Age: max(0, time.Since(e.created)), TTL: max(0, e.expiry-now),
		Stale: found.old || e.stale(now), Version: e.version, Tags: e.tags,
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
		if !c.usable(e, now) {
			c.local.drop(e)
		}
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

// found is an entry, the tier where this call found it, and whether it is served only because the call allows stale values.
type found[K comparable, V any] struct {
	e    *entry[K, V]
	from Tier
	old  bool
}

// get returns what is found at key.
func (c *Cache[K, V]) get(ctx context.Context, op string, key K, loader policy.Loader[K, V], options []Option) (none found[K, V], err error) {
	opts := plainCall
	if len(options) > 0 {
		if opts, err = newCall(options); err != nil {
			return none, err
		}
	}
	hash := c.hash(key)
	if held, ok := c.fromLocal(opts, key, hash, loader); ok {
		return held, nil
	}
	if err := c.enter(); err != nil {
		return none, err
	}
	defer c.leave()
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w, err := c.newWant(op, key, hash, loader)
	if err != nil {
		return none, err
	}
	var e *entry[K, V]
	if opts.fresh {
		e, err = c.validate(ctx, w, opts)
	} else {
		e, err = c.fly(ctx, w, opts)
	}
	if err != nil && opts.allowStale {
		failed := w.again() // a flight that was left behind goes on with w
		failed.err = err
		c.older(ctx, []*want[K, V]{failed})
		e, err = failed.entry, failed.err
	}
	if err != nil {
		return none, err
	}
	c.arrived(e, loader)
	return found[K, V]{e, e.from, e.old}, nil
}

// fromLocal returns what the local tier may answer to a call with these options, and counts it.
func (c *Cache[K, V]) fromLocal(opts *call, key K, hash uint64, loader policy.Loader[K, V]) (held found[K, V], ok bool) {
	if c.believes(opts) {
		if e := c.hit(key, hash, loader); e != nil {
			return found[K, V]{e, Local, false}, true
		}
		if opts.allowStale {
			if e := c.outlived(key, hash, loader); e != nil {
				return found[K, V]{e, Local, true}, true
			}
		}
	}
	return held, false
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
	if held, ok := c.fromLocal(opts, key, hash, c.loader); ok {
		return held.e, nil
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	w, err := c.newWant(op, key, hash, nil)
	if err != nil || c.remote == nil || opts.skipRemoteRead {
		return nil, err
	}
	c.knows(opts, w)
	c.capture(w)
	c.read(ctx, opts, []*want[K, V]{w})
	if w.err == nil && w.down != nil {
		w.err = &Error{Op: op, Tier: "remote", Key: w.remoteKey, Err: w.down}
	}
	if opts.allowStale {
		c.older(ctx, []*want[K, V]{w})
	}
	if w.err == nil && w.entry != nil {
		c.arrived(w.entry, c.loader)
	}
	return w.entry, w.err
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
