package tier

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/policy"
)

// writesAtOnce bounds the calls of a Store that one call makes at a time.
const writesAtOnce = 16

// storeAll makes the source have changes, and returns what became of each: in one request, if the Store can and they are several, or
// have a version; else several at a time.
func (c *Cache[K, V]) storeAll(ctx context.Context, changes []policy.Change[K, V]) []error {
	errs := make([]error, len(changes))
	c.n.stores.Add(uint64(len(changes)))
	one := func(i int) {
		errs[i] = errGoexit // unless it returns
		if p := guarded(func() { errs[i] = c.storeOne(ctx, changes[i]) }); p != nil {
			errs[i] = p
		}
	}
	batch, ok := c.opts.Policy.Store.(policy.BatchStore[K, V])
	switch {
	case ok && (len(changes) > 1 || changes[0].Version > 0):
		var err error
		if p := guarded(func() { err = batch.StoreMany(ctx, changes) }); p != nil {
			err = p
		}
		for i := range errs {
			errs[i] = err
		}
	case len(changes) == 1:
		one(0)
	default:
		atOnce(writesAtOnce, len(changes), one)
	}
	for _, err := range errs {
		if err != nil {
			c.n.storeErrors.Add(1)
		}
	}
	return errs
}

func (c *Cache[K, V]) storeOne(ctx context.Context, ch policy.Change[K, V]) error {
	if !ch.Delete {
		return c.opts.Policy.Store.Store(ctx, ch.Key, ch.Value)
	}
	if err := c.opts.Policy.Store.Delete(ctx, ch.Key); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil // gone is gone
}
