package tier

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/policy"
)

// updateThrough is Update under write-through:
//
//	bump · fence · announce · (load · compute · swap at the source)… · swap · announce · bump
//
// Fences exclude nobody. That nothing is lost is the doing of the source, which refuses to change what has changed meanwhile.
func (c *Cache[K, V]) updateThrough(ctx context.Context, opts *call, ch *change[K, V], source policy.Swapper[K, V], next func(V, bool) (V, error)) (value V, err error) {
	c.stampAll(ctx, []*change[K, V]{ch})
	w, err := c.open(ctx, opts, []*change[K, V]{ch})
	if err != nil {
		return value, err
	}
	ch.w.loader = c.loader
	ch.cause = policy.ErrNotWritten // until it is, also if next panics
	defer func() {
		w.finish(ctx, w.end() != opened)
		if err == nil && ch.err != nil {
			err = ch.err
		}
	}()
	for try := 0; ; try++ {
		old := c.load(ctx, []*want[K, V]{ch.w})[0]
		if old.Err != nil && !errors.Is(old.Err, ErrNotFound) {
			return value, c.sourceError(ctx, ch.w, old.Err)
		}
		if value, err = c.after(old, next); err != nil {
			return value, err
		}
		if err := c.stateThrough(opts, ch, policy.Answer[V]{Value: value, Tags: old.Tags}); err != nil {
			return value, ch.error("remote", err)
		}
		c.n.stores.Add(1)
		var refused error
		if p := guarded(func() { refused = source.Swap(ctx, old, policy.Change[K, V]{Key: ch.w.key, Value: value}) }); p != nil {
			refused = p
		}
		switch {
		case refused == nil:
			ch.cause = nil
			return value, nil
		case !errors.Is(refused, policy.ErrConflict):
			c.n.storeErrors.Add(1)
			ch.cause = refused
			return value, ch.error("source", refused)
		}
		if err := c.breathe(ctx, try); err != nil {
			return value, ch.error("source", errors.Join(err, policy.ErrNotWritten))
		}
	}
}
