package tier

import (
	"context"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/policy"
)

// An Entry is what GetMany found at one key.
type Entry[V any] struct {
	Value V
	Err   error // ErrNotFound, or why it is not known; Value is then zero
	Tier  Tier  // where it was found
	Stale bool  // a newer one is wanted, or this one may be served only because the call allows it
	Kept  bool  // a tier has it: it was found there, or this call stored it
}

// GetMany returns one entry for each key, in order, duplicates included. All that the local tier does not have costs one
// bulk read of the remote tier, and what that does not have one batch load, if the loader is a policy.BatchLoader; else
// several loads at a time. It does not join loads of other calls.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K, options ...Option) []Entry[V] {
	return c.getMany(ctx, keys, c.loader, options)
}

// GetManyOrLoad is GetMany with a batch loader for this call, which answers each of the keys that it is given, in order. What is found
// and stale is loaded anew behind by the policy's loader, if there is one. A load begins when no tier has the key, and only what it
// has read from then on is sure not to be old: see the package backfill for what that means to values that were read before.
func (c *Cache[K, V]) GetManyOrLoad(ctx context.Context, keys []K, load func(ctx context.Context, keys []K) ([]policy.Answer[V], error), options ...Option) []Entry[V] {
	return c.getMany(ctx, keys, policy.Funcs[K, V]{LoadMany: load}.Loader(), options)
}

func (c *Cache[K, V]) getMany(ctx context.Context, keys []K, loader policy.Loader[K, V], options []Option) []Entry[V] {
	entries := make([]Entry[V], len(keys))
	fail := func(err error) []Entry[V] {
		for i := range entries {
			entries[i] = Entry[V]{Err: err}
		}
		return entries
	}
	opts, err := newCall(options)
	if err != nil {
		return fail(err)
	}
	if err := c.enter(); err != nil {
		return fail(err)
	}
	defer c.leave()

	wants := make(map[string]*want[K, V])
	var order []*want[K, V]
	at := make([]*want[K, V], len(keys))
	for i, key := range keys {
		hash := c.hash(key)
		if held, ok := c.fromLocal(opts, key, hash, c.loader); ok {
			entries[i] = c.manyEntry(held, true)
			continue
		}
		w, err := c.newWant("get", key, hash, loader)
		if err != nil {
			entries[i].Err = err
			continue
		}
		if first := wants[w.remoteKey]; first != nil {
			at[i] = first
			continue
		}
		wants[w.remoteKey], at[i] = w, w
		order = append(order, w)
	}
	if len(order) == 0 {
		return entries
	}
	for _, w := range order {
		c.knows(opts, w)
		c.capture(w)
	}
	ctx, cancel := c.loadDeadline(ctx)
	defer cancel()
	c.fill(ctx, opts, order...)
	if opts.allowStale {
		c.older(ctx, order)
	}
	for _, w := range order {
		if w.err == nil {
			c.arrived(w.entry, c.loader)
		}
	}
	for i, w := range at {
		switch {
		case w == nil:
		case w.err != nil:
			entries[i].Err = w.err
		default:
			entries[i] = c.manyEntry(found[K, V]{w.entry, w.entry.from, w.entry.old}, w.kept || w.entry.from != Source)
		}
	}
	return entries
}

func (c *Cache[K, V]) manyEntry(f found[K, V], kept bool) Entry[V] {
	v, err := c.out(f.e)
	return Entry[V]{Value: v, Err: err, Tier: f.from, Stale: f.old || f.e.stale(mono.Now()), Kept: kept}
}
