package tier

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/policy"
)

// writesAtOnce bounds the calls of a Store that one call makes at a time.
const writesAtOnce = 16

// through is the path on which a cache writes its source:
//
//	bump · fence · announce · source · swap · announce · bump
//
// The writers of one key in this process take turns, so that what the source has last, the cache has last.
func (c *Cache[K, V]) through(ctx context.Context, opts *call, changes []*change[K, V], write func(ctx context.Context, ch *change[K, V]) error) error {
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
		c.source(ctx, able, write)
		c.finishThrough(ctx, w)
	}
	return joined(changes)
}

// source writes the source at every change, several at a time.
func (c *Cache[K, V]) source(ctx context.Context, changes []*change[K, V], write func(ctx context.Context, ch *change[K, V]) error) {
	c.n.stores.Add(uint64(len(changes)))
	one := func(ch *change[K, V]) {
		ch.cause = errGoexit // unless it returns
		if p := guarded(func() { ch.cause = write(ctx, ch) }); p != nil {
			ch.cause = p
		}
	}
	if len(changes) == 1 {
		one(changes[0])
		return
	}
	atOnce(writesAtOnce, len(changes), func(i int) { one(changes[i]) })
}

// finishThrough ends w as Commit and Abort do, each change by its own cause.
func (c *Cache[K, V]) finishThrough(ctx context.Context, w *Write[K, V]) {
	w.finish(ctx, w.end() != opened)
	for _, ch := range w.changes {
		if ch.cause != nil {
			c.n.storeErrors.Add(1)
			ch.fail("source", ch.cause)
		}
	}
}

// setThrough is Set under a policy that writes the source.
func (c *Cache[K, V]) setThrough(ctx context.Context, opts *call, changes []*change[K, V], value func(K) V) error {
	c.stampAll(ctx, changes)
	for _, ch := range changes {
		c.capture(ch.w)
		err := c.state(opts, ch, policy.Answer[V]{Value: value(ch.w.key)})
		if errors.Is(err, ErrTooLarge) { // the source may have it
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, ch.w.remoteKey, err)
		} else if err != nil {
			ch.fail("remote", err)
		}
	}
	return c.through(ctx, opts, changes, func(ctx context.Context, ch *change[K, V]) error {
		return c.opts.Policy.Store.Store(ctx, ch.w.key, value(ch.w.key))
	})
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
	return c.through(ctx, opts, changes, func(ctx context.Context, ch *change[K, V]) error {
		if err := c.opts.Policy.Store.Delete(ctx, ch.w.key); !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil // gone is gone
	})
}
