package tier

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/invalidation"
)

// Clear makes sure that no present value of this cache is served again on any node. It is a marker on everything: it takes the same
// few round trips however many values there are, on every backend. What the remote tier holds stays there until it is read, and
// then replaced, or until its TTL ends; a new Options.Version leaves it for good as well.
//
// On an error the outcome is unknown: this node serves no such value, and goes on trying behind. Others may until then.
func (c *Cache[K, V]) Clear(ctx context.Context) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	c.flushOwn()
	defer func() {
		c.flushOwn()
		if c.local != nil {
			c.local.clear()
		}
	}()
	where, err := c.clear(ctx)
	if err != nil {
		c.repairLater(repair{remote: true, tell: true})
		return &Error{Op: "clear", Tier: where, Err: pending(err)}
	}
	return nil
}

// clear marks everything and tells the other nodes.
func (c *Cache[K, V]) clear(ctx context.Context) (where string, err error) {
	return c.mark(ctx, true, nil, func() error { return c.announce(ctx, invalidation.VerbClear, nil) })
}

// flushOwn kills every local entry, because this node invalidates everything.
func (c *Cache[K, V]) flushOwn() {
	c.tags.clear()
	c.epochs.flush()
}

// InvalidatePrefix makes sure that the present values of all keys that begin with prefix, as Options.Key writes them, are never
// served again. It lists the remote tier's keys and takes out each, so it takes time; and it makes all nodes give up their whole
// local tiers, whose values they read anew from the remote tier. A backend that cannot list its keys answers ErrUnsupported: tag
// the values, and call InvalidateTag. On another error the outcome is unknown: call it again.
func (c *Cache[K, V]) InvalidatePrefix(ctx context.Context, prefix string) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	c.epochs.flush()
	defer c.epochs.flush()
	began := c.guard.begin(c.guard.position())
	for range repeats {
		if err := c.deletePrefix(ctx, prefix); err != nil {
			return &Error{Op: "invalidate prefix", Tier: "remote", Key: prefix, Err: err}
		}
		if err := c.announce(ctx, invalidation.VerbClear, nil); err != nil {
			c.repairLater(repair{tell: true})
			return &Error{Op: "invalidate prefix", Tier: "bus", Key: prefix, Err: pending(err)}
		}
		if !c.guard.overtaken(&began) {
			return nil
		}
	}
	return &Error{Op: "invalidate prefix", Tier: "remote", Key: prefix, Err: errOvertaken}
}

// listings is how often keys are listed, at most, for an invalidation by prefix.
const listings = 3

// deletePrefix lists the remote tier's keys and deletes them, until none are left. A name that is changed on its way here is
// another one, and has no checksum: what it stood for is in the next listing.
func (c *Cache[K, V]) deletePrefix(ctx context.Context, prefix string) error {
	if c.remote == nil {
		return nil
	}
	for range listings {
		n, err := c.remote.DeletePrefix(ctx, c.keyPrefix+remotekey.Escape(prefix))
		if errors.Is(err, ErrUnsupported) {
			err = fmt.Errorf("%w: give the values a tag, and use InvalidateTag", err)
		}
		if err != nil || n == 0 {
			return err
		}
	}
	return nil // what is listed now was stored meanwhile
}
