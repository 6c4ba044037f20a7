package tier

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/invalidation"
)

// Expire says that newer values of keys are wanted: the present ones become stale on every node, and are served while they
// are loaded anew. It joins one *Error for each key that failed.
func (c *Cache[K, V]) Expire(ctx context.Context, keys ...K) error {
	opts, changes, err := c.begin("expire", keys, nil)
	if err != nil || len(changes) == 0 {
		return err
	}
	defer c.leave()
	var errs []error
	for _, ch := range changes {
		if err := c.expire(ctx, opts, ch); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Cache[K, V]) expire(ctx context.Context, opts *call, ch *change[K, V]) error {
	w := ch.w
	if c.remote == nil {
		c.expireLocal(opts, w)
	} else {
		c.epochs.bump(w.stripe)
		defer c.epochs.bump(w.stripe) // what a reader here took meanwhile; on an error too
		if err := c.expireRemote(ctx, w); err != nil {
			c.repairLater(repairOf(w.remoteKey))
			return &Error{Op: "expire", Tier: "remote", Key: w.remoteKey, Err: pending(err)}
		}
	}
	if err := c.announce(ctx, invalidation.VerbExpire, []string{w.remoteKey}); err != nil {
		c.repairLater(repair{key: w.remoteKey, tell: true})
		return &Error{Op: "expire", Tier: "bus", Key: w.remoteKey, Err: pending(err)}
	}
	return nil
}

// expireLocal replaces the local entry by one that is stale.
func (c *Cache[K, V]) expireLocal(opts *call, w *want[K, V]) {
	now := mono.Now()
	e := c.local.get(w.hash, w.key, now)
	held := e != nil && c.valid(e, now)
	c.epochs.bump(w.stripe) // a load under way must not be kept as fresh, nor come back what a queue of the local tier holds
	if !held {
		return
	}
	c.capture(w)
	next := e.copied()
	next.epoch, next.gen, next.fresh = w.at.epoch, w.at.gen, now
	c.keep(opts, next)
}

// expireRemote swaps the record at w for one that is the same but for its soft expiry.
func (c *Cache[K, V]) expireRemote(ctx context.Context, w *want[K, V]) error {
	found := c.remote.Get(ctx, w.remoteKey)[0]
	for range swapTries {
		if found.Err != nil {
			return found.Err
		}
		h, body, ok := record.Parse(found.Record)
		if !ok || h.Kind != record.Value {
			return nil // nothing there that could be served
		}
		now := time.Now()
		next := record.Header{Version: record.Version, Kind: record.Value, Token: record.NewToken(), Expiry: h.Expiry}
		step := record.Step{Verb: record.Swap, Expect: h.Token, TTL: max(h.Expiry.Sub(now), time.Millisecond)}
		var err error
		step.Record, err = c.format().Reseal(record.AppendHeader(nil, next), body, c.seal(w.remoteKey, h), c.seal(w.remoteKey, next),
			func(e *codec.Envelope) { e.SoftExpiry = now })
		if _, ok := errors.AsType[*codec.DecodeError](err); ok {
			step = record.Step{Verb: record.Remove, Expect: h.Token} // what cannot be read here another node may still serve
		} else if err != nil {
			return err
		}
		e := c.remote.Write(ctx, driver.Op{Key: w.remoteKey, Step: step})[0]
		switch e.Outcome {
		case driver.Done:
			return nil
		case driver.Refused:
			found.Record = record.Live(e.Found, time.Now())
		default:
			return e.Err
		}
	}
	return errors.Join(ErrUnavailable, errors.New("the key changes faster than it can be expired"))
}
