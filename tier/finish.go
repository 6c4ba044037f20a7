package tier

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// finish ends each change by what became of it at the source:
//
//	written       swap fence → value, or leave · announce · bump
//	not written   leave
//	unknown       the fence stays · after SourceSettle: leave · announce · bump
//
// Late is after the write has expired: what is at the keys is not its own any more.
func (w *Write[K, V]) finish(ctx context.Context, late bool) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = cleanup(ctx)
		defer cancel()
	}
	c := w.c
	var written, undone []*change[K, V]
	for _, ch := range w.changes {
		switch {
		case ch.cause == nil:
			written = append(written, ch)
		case errors.Is(ch.cause, policy.ErrNotWritten):
			undone = append(undone, ch)
		default:
			c.settleLater(ch)
		}
	}
	c.leaveFences(ctx, undone)
	if len(written) == 0 {
		return
	}
	began := c.guard.begin(c.guard.position())
	if c.remote != nil {
		c.settle(ctx, w.opts, written, late)
	}
	if !weaken.Off(weaken.AnnounceAfter) {
		c.tell(ctx, invalidation.VerbInvalidate, written)
	}
	c.repeat(ctx, invalidation.VerbInvalidate, written, &began)
	c.repairFailed(written)
	c.bumpAndKeep(w.opts, w.first, written)
}

// settle swaps the fences of changes whose values are stated for these values. All other keys are emptied: where it is not
// stated, and where the swap found anything but the fence as it was placed, nothing included.
func (c *Cache[K, V]) settle(ctx context.Context, opts *call, changes []*change[K, V], late bool) {
	var swap, empty []*change[K, V]
	verb := invalidation.VerbInvalidate
	if weaken.Off(weaken.AnnounceAfter) {
		verb = silently
	}
	if weaken.Off(weaken.Fence) {
		c.placeFences(ctx, changes) // after the source
	}
	for _, ch := range changes {
		switch {
		case ch.unfenced != nil && !ch.fenced:
			ch.unsure, ch.err = true, ch.unfenced
		case ch.rec == nil || late || ch.lapsed || opts.skipRemoteWrite:
			empty = append(empty, ch)
		default:
			swap = append(swap, ch)
		}
	}
	c.step(ctx, verb, swap, func(ch *change[K, V]) driver.Op {
		return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Swap, Expect: ch.fence, Record: ch.rec, TTL: ch.life.ttl}}
	}, func(ch *change[K, V]) { empty = append(empty, ch) })
	for _, ch := range swap {
		ch.stored = ch.err == nil
	}
	for _, ch := range empty {
		ch.stored = false
	}
	c.step(ctx, verb, empty, func(ch *change[K, V]) driver.Op {
		if ch.fence.IsZero() {
			return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Delete}}
		}
		return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Leave, Expect: ch.fence}}
	}, nil)
}

// settleLater is for a change of which nobody knows whether, or when, the source has it: a fence stays at the key until it surely has
// it or not, and then the key is emptied.
func (c *Cache[K, V]) settleLater(ch *change[K, V]) {
	r := repairOf(ch.w.remoteKey)
	if !weaken.Off(weaken.SourceSettle) {
		r.later, r.due = true, mono.Now()+c.opts.SourceSettle
	}
	if !ch.fence.IsZero() {
		r.tokens, r.hold = []record.Token{ch.fence}, r.later
	}
	c.repairLater(r)
}

// bumpAndKeep bumps the epochs again, and keeps what is stored if nothing but the two bumps touched its stripe.
func (c *Cache[K, V]) bumpAndKeep(opts *call, first map[uint32]uint64, changes []*change[K, V]) {
	last := first
	if !weaken.Off(weaken.BumpAfter) {
		last = c.bumpAll(changes)
	}
	for _, ch := range changes {
		if ch.err != nil || ch.entry == nil || c.remote != nil && !ch.stored {
			continue
		}
		if s := ch.w.stripe; last[s] == first[s]+1 || weaken.Off(weaken.BumpAfter) {
			ch.entry.epoch, ch.entry.gen = last[s], ch.w.at.gen
			c.keep(opts, ch.entry)
		}
	}
}

// joined returns the errors of changes as one.
func joined[K comparable, V any](changes []*change[K, V]) error {
	var errs []error
	for _, ch := range changes {
		if ch.err != nil {
			errs = append(errs, ch.err)
		}
	}
	if len(errs) == 1 && len(changes) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// writes are those that are open.
type writes[K comparable, V any] struct {
	mu sync.Mutex
	by map[*Write[K, V]]struct{} // guarded by mu
}

func (ws *writes[K, V]) add(w *Write[K, V]) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.by == nil {
		ws.by = make(map[*Write[K, V]]struct{})
	}
	ws.by[w] = struct{}{}
}

func (ws *writes[K, V]) remove(w *Write[K, V]) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.by, w)
}

// expire ends all that are open when the cache closes.
func (ws *writes[K, V]) expire() {
	ws.mu.Lock()
	open := slices.Collect(maps.Keys(ws.by))
	ws.mu.Unlock()
	for _, w := range open {
		w.expire()
	}
}
