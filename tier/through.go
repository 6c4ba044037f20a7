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
func (c *Cache[K, V]) through(ctx context.Context, opts *call, changes []*change[K, V], to func(K) policy.Change[K, V]) error {
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
		c.source(ctx, able, to)
		c.finishThrough(ctx, w)
	}
	return joined(changes)
}

// source writes the source at every change: several in one request, if the Store can, else several at a time.
func (c *Cache[K, V]) source(ctx context.Context, changes []*change[K, V], to func(K) policy.Change[K, V]) {
	c.n.stores.Add(uint64(len(changes)))
	if batch, ok := c.opts.Policy.Store.(policy.BatchStore[K, V]); ok && len(changes) > 1 {
		all := make([]policy.Change[K, V], len(changes))
		for i, ch := range changes {
			all[i] = to(ch.w.key)
		}
		var err error
		if p := guarded(func() { err = batch.StoreMany(ctx, all) }); p != nil {
			err = p
		}
		for _, ch := range changes {
			ch.cause = err
		}
		return
	}
	one := func(ch *change[K, V]) {
		ch.cause = errGoexit // unless it returns
		if p := guarded(func() { ch.cause = c.storeOne(ctx, to(ch.w.key)) }); p != nil {
			ch.cause = p
		}
	}
	if len(changes) == 1 {
		one(changes[0])
		return
	}
	atOnce(writesAtOnce, len(changes), func(i int) { one(changes[i]) })
}

func (c *Cache[K, V]) storeOne(ctx context.Context, to policy.Change[K, V]) error {
	if !to.Delete {
		return c.opts.Policy.Store.Store(ctx, to.Key, to.Value)
	}
	if err := c.opts.Policy.Store.Delete(ctx, to.Key); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil // gone is gone
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
	return c.through(ctx, opts, changes, func(key K) policy.Change[K, V] {
		return policy.Change[K, V]{Key: key, Value: value(key)}
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
	return c.through(ctx, opts, changes, func(key K) policy.Change[K, V] { return policy.Change[K, V]{Key: key, Delete: true} })
}
