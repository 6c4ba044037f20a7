package tier

import (
	"context"

	"github.com/strata-cache/strata/internal/mono"
)

// An Entry is what GetMany found at one key.
type Entry[V any] struct {
	Value V
	Err   error // ErrNotFound, or why it is not known; Value is then zero
	Tier  Tier  // where it was found
	Stale bool  // a newer one is wanted, or this one may be served only because the call allows it
}

// GetMany returns one entry for each key, in order, duplicates included. All that the local tier does not have costs one
// bulk read of the remote tier, and what that does not have one batch load, if the loader is a policy.BatchLoader; else
// several loads at a time. It does not join loads of other calls.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K, options ...Option) []Entry[V] {
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
			entries[i] = c.manyEntry(held)
			continue
		}
		w, err := c.newWant("get", key, hash, c.loader)
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
			entries[i] = c.manyEntry(found[K, V]{w.entry, w.entry.from, w.entry.old})
		}
	}
	return entries
}

func (c *Cache[K, V]) manyEntry(f found[K, V]) Entry[V] {
	v, err := c.out(f.e)
	return Entry[V]{Value: v, Err: err, Tier: f.from, Stale: f.old || f.e.stale(mono.Now())}
}
