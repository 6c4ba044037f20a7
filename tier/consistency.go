package tier

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/policy"
)

// Fresh makes a read miss nothing that was acknowledged before it began, on any node: the local tier is not believed, but asked
// about at the remote tier, which takes one round trip. A value that both have is not decoded again. What the remote tier does not
// have, or cannot tell, is loaded from the source by a load that began after the call; without a loader an outage is an error.
// It never returns an old value instead.
//
// A value past its soft TTL counts as any other: a newer one is wanted, and nobody has said that this one is wrong. Without a
// Remote a cache with a Bus loads from the source; one with neither has nobody to ask, and knows of all writes itself.
func Fresh() Option { return func(c *call) { c.fresh = true } }

// AllowStale lets a read have a local value that could not be served otherwise: one past its TTL, by at most Options.TTL, or one
// that nobody vouches for because the bus is not heard, or was not for a while. If the read would fail, because neither the
// remote tier nor the source can be asked, it also takes what a replica of the remote tier has, if the backend reads
// those: see backend.Store.GetStale. Such a value is marked as Stale, and loaded anew behind if a local one was served.
//
// It never returns what this node knows to be invalid: not after a write of its own, nor after an invalidation, tag or clear
// that it has heard of. A replica is asked only for keys of which this node has heard no change since it began, as nobody can tell how far
// behind it is.
func AllowStale() Option { return func(c *call) { c.allowStale = true } }

var errFreshStale = errors.New("tier: Fresh and AllowStale exclude each other")
var errFreshBlind = errors.New("tier: Fresh needs what SkipRemoteRead leaves out")

// believes reports whether a read with these options may have a valid local entry as it is.
func (c *Cache[K, V]) believes(opts *call) bool {
	return !opts.skipLocalRead && (!opts.fresh || c.remote == nil && c.bus == nil)
}

// usable reports whether nothing that this node knows of has made the local entry e untrue, and it is not too long past its TTL.
// That is less than being valid: something may have happened of which this node has not heard.
func (c *Cache[K, V]) usable(e *entry[K, V], now time.Duration) bool {
	known := e.epoch != c.epochs.stripe[e.stripe].Load() || e.gen < c.epochs.known.Load() || !c.tags.current(e.slots, e.tagged)
	return (!known || weaken.Off(weaken.KnownInvalid)) && now-c.opts.TTL < e.expiry
}

// outlived returns the local entry at key if it is usable, and loads it anew behind. It is for who allows stale values.
func (c *Cache[K, V]) outlived(key K, hash uint64, loader policy.Loader[K, V]) *entry[K, V] {
	if c.local == nil {
		return nil
	}
	now := mono.Now()
	e := c.local.get(hash, key, now)
	if e == nil || !c.usable(e, now) {
		return nil
	}
	c.hits.add(hash)
	c.n.staleHits.Add(1)
	if e.negative {
		c.n.negativeHits.Add(1)
	}
	c.refresh(e, now, loader)
	return e
}

// validate is a fresh read of w: of the remote tier, by itself, and where that brings nothing by a flight that began after it.
func (c *Cache[K, V]) validate(ctx context.Context, w *want[K, V], opts *call) (*entry[K, V], error) {
	asked := c.flights.number.Load() + 1
	if c.remote != nil {
		c.knows(opts, w)
		c.capture(w)
		c.read(ctx, opts, []*want[K, V]{w})
		if w.entry != nil || w.err != nil {
			return w.entry, w.err
		}
		if w.down != nil {
			o := *opts
			o.skipRemoteRead, o.skipRemoteWrite = true, true // once is enough
			opts = &o
		}
	}
	again := w.again()
	again.asked = asked
	if w.loader == nil {
		again.down = w.down
	}
	return c.fly(ctx, again, opts)
}

// knows notes what the local tier has at w, for a fresh read.
func (c *Cache[K, V]) knows(opts *call, w *want[K, V]) {
	if opts.fresh && c.local != nil {
		w.known = c.local.get(w.hash, w.key, mono.Now())
	}
}

// entryOf returns what the value record found at w says. One that the local tier has is not decoded again: a token names one record.
func (c *Cache[K, V]) entryOf(w *want[K, V], h record.Header, body []byte) (*entry[K, V], error) {
	if w.known == nil || w.known.token != h.Token {
		return c.decode(w, h, body)
	}
	e := w.known.copied()
	e.epoch, e.gen, e.tagged, e.bound, e.from = w.at.epoch, w.at.gen, w.at.tags, c.boundOf(w), Remote
	e.expiry = mono.Now() + min(time.Until(h.Expiry), c.opts.LocalTTL)
	return e, nil
}

// older asks replicas for those of wants that failed, and gives those of which they have a value that one. It is for who allows
// stale values.
func (c *Cache[K, V]) older(ctx context.Context, wants []*want[K, V]) {
	if c.remote == nil || ctx.Err() != nil {
		return
	}
	var asking []*want[K, V]
	var keys []string
	for _, w := range wants {
		if w.err == nil || errors.Is(w.err, ErrNotFound) || errors.Is(w.err, ErrClosed) || !c.unchanged(w) {
			continue
		}
		asking, keys = append(asking, w), append(keys, w.remoteKey)
	}
	if len(keys) == 0 {
		return
	}
	for _, w := range asking {
		c.capture(w)
	}
	for i, found := range c.remote.GetStale(ctx, keys...) {
		w := asking[i]
		h, body, ok := record.Parse(found.Record)
		if !ok || h.Kind != record.Value {
			continue
		}
		if e, err := c.decode(w, h, body); err == nil && c.unchanged(w) && !c.knownDead(e.stamp, e.slots) {
			e.old = true
			w.entry, w.err = e, nil
		}
	}
}

// knownDead reports whether this node knows that a value with this stamp, and tags in slots, was invalidated by tag or Clear.
func (c *Cache[K, V]) knownDead(s stamp, slots []uint16) bool {
	heard := uint64(0)
	if m := c.marking.copy.Load(); m != nil {
		if m.dead(s, slots) {
			return true
		}
		heard = m.clock
	}
	return !c.tags.current(slots, heard) || c.tagDoubts.hold(slots)
}

// unchanged reports whether this node has heard of no change of w's key since it began.
func (c *Cache[K, V]) unchanged(w *want[K, V]) bool {
	return c.epochs.stripe[w.stripe].Load() == 0 && c.epochs.known.Load() == 0 && !c.inDoubt(w.remoteKey)
}

// WaitForNodes returns when every node that serves local values has applied all invalidations that this one has announced and
// heard so far: a read there that begins now misses none of them, whatever MaxStaleness is. It costs no message; it
// waits for heartbeats, each a fifth of a bound apart, and see invalidation.Bus.WaitForNodes for nodes that died. A
// node just started listens for 3 s at least before it knows them all.
//
// It returns the error of ctx, which should have a deadline, and ErrUnsupported without a Bus.
func (c *Cache[K, V]) WaitForNodes(ctx context.Context) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	if c.bus == nil {
		return &Error{Op: "wait for nodes", Tier: "bus", Err: ErrUnsupported}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	if err := c.opts.Bus.WaitForNodes(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}
