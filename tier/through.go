package tier

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/policy"
)

// through is the path on which a cache writes its source:
//
//	bump · fence · announce · source · swap · announce · bump
//
// The writers of one key in this process take turns, so that what the source has last, the cache has last.
// write notes in cause what became of each, at the tier of that name.
func (c *Cache[K, V]) through(ctx context.Context, opts *call, changes []*change[K, V], tier string, write func(ctx context.Context, changes []*change[K, V])) error {
	changes = distinct(changes)
	unlock, err := c.writers.lock(ctx, c.ctx, keysOf(changes))
	if err != nil {
		return err
	}
	defer unlock()
	var able []*change[K, V]
	for _, ch := range changes {
		if ch.err == nil {
			able = append(able, ch)
		}
	}
	if len(able) > 0 {
		w, err := c.open(ctx, opts, able)
		if e, ok := errors.AsType[*Error](err); ok {
			for _, ch := range able {
				ch.fail(e.Tier, e.Err)
			}
			return joined(changes)
		} else if err != nil {
			return err
		}
		write(ctx, able)
		c.finishThrough(ctx, w, tier)
	}
	return joined(changes)
}

// source writes the source at every change, and notes in cause what became of it.
func (c *Cache[K, V]) source(ctx context.Context, changes []*change[K, V], to func(K) policy.Change[K, V]) {
	all := make([]policy.Change[K, V], len(changes))
	for i, ch := range changes {
		all[i] = to(ch.w.key)
	}
	for i, err := range c.storeAll(ctx, all) {
		changes[i].cause = err
	}
}

// finishThrough ends w as Commit and Abort do, each change by its own cause.
func (c *Cache[K, V]) finishThrough(ctx context.Context, w *Write[K, V], tier string) {
	w.finish(ctx, w.end() != opened)
	for _, ch := range w.changes {
		if ch.cause != nil && !errors.Is(ch.cause, errShed) {
			ch.fail(tier, ch.cause)
		}
	}
}

// throughTo is through to the source.
func (c *Cache[K, V]) throughTo(ctx context.Context, opts *call, changes []*change[K, V], to func(K) policy.Change[K, V]) error {
	return c.through(ctx, opts, changes, "source", func(ctx context.Context, able []*change[K, V]) { c.source(ctx, able, to) })
}

// setThrough is Set under a policy that writes the source.
func (c *Cache[K, V]) setThrough(ctx context.Context, opts *call, changes []*change[K, V], value func(K) V) error {
	c.stampAll(ctx, changes)
	for _, ch := range changes {
		c.capture(ch.w)
		if err := c.stateThrough(opts, ch, policy.Answer[V]{Value: value(ch.w.key)}); err != nil {
			ch.fail("remote", err)
		}
	}
	return c.throughTo(ctx, opts, changes, func(key K) policy.Change[K, V] {
		return policy.Change[K, V]{Key: key, Value: value(key)}
	})
}

// stateThrough is state of a value that may be too large for the remote tier, as the source may have it all the same.
func (c *Cache[K, V]) stateThrough(opts *call, ch *change[K, V], a policy.Answer[V]) error {
	err := c.state(opts, ch, a)
	if errors.Is(err, ErrTooLarge) {
		c.n.remoteErrors.Add(1)
		c.event(EventRemoteError, ch.w.remoteKey, err)
		return nil
	}
	return err
}

// deleteThrough is Delete under a policy that writes the source.
func (c *Cache[K, V]) deleteThrough(ctx context.Context, opts *call, changes []*change[K, V]) error {
	c.stampAll(ctx, changes)
	for _, ch := range changes {
		c.capture(ch.w)
		if err := c.state(opts, ch, policy.Answer[V]{Err: ErrNotFound}); err != nil {
			ch.fail("remote", err)
		}
	}
	return c.throughTo(ctx, opts, changes, func(key K) policy.Change[K, V] { return policy.Change[K, V]{Key: key, Delete: true} })
}
