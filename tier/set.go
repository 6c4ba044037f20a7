package tier

import (
	"context"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// Set stores value at key in both tiers and makes every other node drop what it has. When it returns without an error no
// node serves an older value for a read that starts more than MaxStaleness later, and this one serves none at all. On an
// error the outcome is unknown: call Invalidate when it matters. Only a value that cannot be encoded, or is too large for the
// remote tier, surely changes nothing.
//
// Of several Sets at one time the last wins; if they keep getting into each other's way the key is left empty.
//
// Under policy.CacheAside the source is not written: that is the application's affair. Under policy.WriteThrough it is, within a
// write as [Cache.BeginWrite] begins it, so that what the source has last the caches have last, or nothing. An error of the source
// has Tier "source"; unless it is policy.ErrNotWritten nobody knows what the source has, and until Options.SourceSettle has
// passed reads of the key go there. If other nodes could not be told, Options.WhenUnreachable decides. A value that is too
// large for the remote tier is written all the same.
//
// Under policy.WriteBehind it returns when the journal has accepted the value; an error has Tier "journal" then. If all nodes share the journal they
// read the value from then on, as if the source had it; with a journal of its own this node does, and the others when the source has it. A
// journal that cannot be reached is ErrUnavailable: the source is not written instead.
func (c *Cache[K, V]) Set(ctx context.Context, key K, value V, options ...Option) error {
	return c.setAll(ctx, []K{key}, func(K) V { return value }, options)
}

// SetMany is Set for several keys, in as many round trips as one Set takes. It joins one *Error for each key that failed. Under
// policy.WriteThrough they are one request of a policy.BatchStore, which makes all changes or none; of another Store 16 calls at a time.
func (c *Cache[K, V]) SetMany(ctx context.Context, values map[K]V, options ...Option) error {
	keys := make([]K, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	return c.setAll(ctx, keys, func(k K) V { return values[k] }, options)
}

func (c *Cache[K, V]) setAll(ctx context.Context, keys []K, value func(K) V, options []Option) error {
	opts, changes, err := c.begin("set", keys, options)
	if err != nil || len(changes) == 0 {
		return err
	}
	defer c.leave()
	c.guard.await(ctx) // else the value would be dead when it is read
	c.n.writes.Add(uint64(len(changes)))
	switch c.opts.Policy.Mode {
	case policy.Through:
		return c.setThrough(ctx, opts, changes, value)
	case policy.Behind:
		return c.setBehind(ctx, opts, changes, value)
	}
	for i, ch := range changes {
		v := value(keys[i])
		if c.opts.Clone != nil {
			v = c.opts.Clone(v)
		}
		a := policy.Answer[V]{Value: v}
		ch.life = c.lifeOf(opts, a)
		c.capture(ch.w)
		ch.entry = c.newEntry(ch.w, a, ch.life, opts)
	}
	return c.write(ctx, invalidation.VerbInvalidate, opts, changes)
}

// Invalidate makes sure that the present values of keys are never served again: call it after the source was written. When it
// returns without an error no node serves an older value for a read that starts more than MaxStaleness later, and this
// one serves none at all. It joins one *Error for each key that failed.
func (c *Cache[K, V]) Invalidate(ctx context.Context, keys ...K) error {
	return c.empty(ctx, "invalidate", keys)
}

// Delete is for a value that is gone. Under policy.CacheAside the source has not got it any more, and Delete does what Invalidate
// does. Under policy.WriteThrough it deletes the value at the source, as Set sets one, and the answer that there is none is kept for
// Options.NegativeTTL. Under policy.WriteBehind it is accepted as a Set is.
func (c *Cache[K, V]) Delete(ctx context.Context, keys ...K) error {
	if c.opts.Policy.Mode == policy.Aside {
		return c.empty(ctx, "delete", keys)
	}
	opts, changes, err := c.begin("delete", keys, nil)
	if err != nil || len(changes) == 0 {
		return err
	}
	defer c.leave()
	if c.opts.Policy.Mode == policy.Behind {
		return c.deleteBehind(ctx, opts, changes)
	}
	return c.deleteThrough(ctx, opts, changes)
}

func (c *Cache[K, V]) empty(ctx context.Context, op string, keys []K) error {
	opts, changes, err := c.begin(op, keys, nil)
	if err != nil || len(changes) == 0 {
		return err
	}
	defer c.leave()
	c.n.invalidated.Add(uint64(len(changes)))
	return c.write(ctx, invalidation.VerbInvalidate, opts, changes)
}

// begin enters the cache and makes a change of each key. If there is any, the caller leaves the cache.
func (c *Cache[K, V]) begin(op string, keys []K, options []Option) (*call, []*change[K, V], error) {
	opts, err := newCall(options)
	if err != nil {
		return nil, nil, err
	}
	changes := make([]*change[K, V], len(keys))
	for i, key := range keys {
		w, err := c.newWant(op, key, c.hash(key), nil)
		if err != nil {
			return nil, nil, err
		}
		changes[i] = &change[K, V]{w: w}
	}
	if err := c.enter(); err != nil {
		return nil, nil, err
	}
	if len(changes) == 0 {
		c.leave()
	}
	return opts, changes, nil
}
