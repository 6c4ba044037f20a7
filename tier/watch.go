package tier

import (
	"context"
	"fmt"
	"iter"

	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/invalidation"
)

// Watch tells what is invalidated in this cache, by this node and others, as [invalidation.Bus.Watch] does. It begins when Watch
// returns. A change comes once this cache has applied it: who then reads it gets a value from after the change, or from after a later
// one. Where something may be missing, Missed says why, and anything may have changed.
//
//	changes, err := products.Watch(ctx)
//	for change := range changes {
//		switch change.Verb {
//		case invalidation.VerbInvalidate, invalidation.VerbExpire: // change.Keys
//		case invalidation.VerbTag: // tags, in change.Keys
//		case invalidation.VerbClear: // everything; also what change.Missed says
//
// Keys are strings, as Options.Key writes them (a string as it is, an integer in decimal): they come from a network, from which no K is
// made. What is set is told as invalidated, also by a write that fails later; a write may be told more than once, of which the last counts.
// A miss that is loaded, and a value whose TTL ends, are no changes.
//
// The sequence ends with ctx, with Close, or with the first loop over it, which may take its time: what is too much to wait for it
// is Missed. Without a Bus nothing is announced, and Watch fails with ErrUnsupported; after Close it fails with ErrClosed.
func (c *Cache[K, V]) Watch(ctx context.Context) (iter.Seq[invalidation.Change], error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	if c.bus == nil {
		return nil, fmt.Errorf("tier: watch %q: without a Bus: %w", c.name, ErrUnsupported)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	context.AfterFunc(ctx, func() { stop() }) // however it ends
	changes, err := c.opts.Bus.Watch(ctx, c.name)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("tier: watch %q: %w", c.name, err)
	}
	return func(yield func(invalidation.Change) bool) {
		defer cancel()
		for change := range changes {
			if c.ctx.Err() != nil || c.ownKeys(&change) && !yield(change) { // ctx ends a little later than c.ctx
				return
			}
		}
	}, nil
}

// ownKeys puts the user's keys in the place of remote keys, and reports whether the change is about this version of the cache.
func (c *Cache[K, V]) ownKeys(change *invalidation.Change) bool {
	if change.Verb != invalidation.VerbInvalidate && change.Verb != invalidation.VerbExpire {
		return true
	}
	var keys []string
	for _, remoteKey := range change.Keys {
		if key, ok := remotekey.Split(c.keyPrefix, remoteKey); ok {
			keys = append(keys, key)
		}
	}
	change.Keys = keys
	return len(keys) > 0
}
