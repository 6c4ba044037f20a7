package tier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// Unreachable says what a write does whose fence, or the announcement of it, cannot be placed before the source is written.
type Unreachable uint8

const (
	// Commit lets the source be written all the same, since a cache must not stop writes. The keys are repaired behind, and the
	// write returns ErrInvalidationPending. Default.
	Commit Unreachable = iota
	// Refuse does not touch the source: the write returns ErrUnavailable, which is also policy.ErrNotWritten.
	Refuse
)

func (u Unreachable) String() string {
	switch u {
	case Commit:
		return "commit"
	case Refuse:
		return "refuse"
	}
	return "unknown"
}

// openLimit is how long a Write may be open. Then it ends as if its outcome was unknown.
const openLimit = time.Minute

// errEnded is for who commits twice.
var errEnded = errors.New("tier: the write has ended")

// A Write is a change of the source that the application is making, begun by [Cache.BeginWrite]. Its methods are safe for
// concurrent use. It must be ended by Commit or Abort; one that is forgotten ends after a minute, as by Abort without a cause.
type Write[K comparable, V any] struct {
	c       *Cache[K, V]
	opts    *call
	changes []*change[K, V]   // of distinct keys
	first   map[uint32]uint64 // the epochs of the first bump
	began   time.Duration
	timer   *time.Timer // of the next renewal
	ctx     context.Context
	stop    context.CancelFunc // ends a renewal under way

	renewing chan struct{} // one place, taken by who renews, and by who ends it

	mu    sync.Mutex
	phase phase // guarded by mu
}

type phase uint8

const (
	opened  phase = iota
	expired       // after openLimit, or with the cache
	ended
)

// BeginWrite begins a change of the source at keys, which the application makes itself, and then ends by Commit or Abort:
//
//	w, err := products.BeginWrite(ctx, 42)
//	if err != nil {
//		return err // the source must not be written
//	}
//	defer w.Abort(ctx, nil) // nothing after Commit
//	if err := table.Update(ctx, 42, p); err != nil {
//		return err
//	}
//	return w.Commit(ctx)
//
// When it returns, a fence stands at every key, so that nobody stores what was loaded before the change, and all other nodes
// were told. Until the write ends, reads of the keys go to the source and keep nothing. If the process dies the fence ends
// after 5 seconds, and the next read loads what is true then: unlike Invalidate after the change, this leaves no window.
//
// If a fence, or the announcement, cannot be placed Options.WhenUnreachable decides: the write goes on, and Commit returns
// ErrInvalidationPending; or BeginWrite returns an error that is ErrUnavailable. Other errors are those of ctx, ErrClosed, and
// of a key that cannot be written as a string. Two writes of one key may be open at once, on one node or on several: the key is
// left empty then.
func (c *Cache[K, V]) BeginWrite(ctx context.Context, keys ...K) (*Write[K, V], error) {
	opts, changes, err := c.begin("write", keys, nil)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return &Write[K, V]{phase: ended}, nil
	}
	defer c.leave()
	c.stampAll(ctx, changes)
	return c.open(ctx, opts, changes)
}

// open is BeginWrite of changes.
func (c *Cache[K, V]) open(ctx context.Context, opts *call, changes []*change[K, V]) (*Write[K, V], error) {
	w := &Write[K, V]{c: c, opts: opts, changes: distinct(changes), began: mono.Now(), renewing: make(chan struct{}, 1)}
	w.first = c.bumpAll(w.changes)
	for _, ch := range w.changes {
		c.capture(ch.w)
	}
	c.fence(ctx, w.changes)
	var refused error
	for _, ch := range w.changes {
		if ch.unfenced != nil {
			refused = ch.unfenced
			break
		}
	}
	if ctx.Err() != nil {
		refused = ctx.Err()
	} else if refused != nil && c.opts.WhenUnreachable == Refuse {
		refused.(*Error).Err = errors.Join(ErrUnavailable, policy.ErrNotWritten, refused.(*Error).Err)
	} else {
		refused = nil
	}
	if refused != nil {
		c.life.Add(1) // it has entered, so Close has not begun to wait
		go func() {   // Close waits for it
			defer c.life.Done()
			c.leaveFences(ctx, w.changes)
		}()
		return nil, refused
	}
	w.ctx, w.stop = context.WithCancel(c.ctx)
	c.writes.add(w)
	w.renewing <- struct{}{} // it waits until timer is set
	w.timer = time.AfterFunc(fenceTTL/3, w.renew)
	<-w.renewing
	return w, nil
}

// distinct returns the first change of each key.
func distinct[K comparable, V any](changes []*change[K, V]) []*change[K, V] {
	if len(changes) == 1 {
		return changes
	}
	seen := make(map[string]bool, len(changes))
	var first []*change[K, V]
	for _, ch := range changes {
		if !seen[ch.w.remoteKey] {
			seen[ch.w.remoteKey] = true
			first = append(first, ch)
		}
	}
	return first
}

// fence puts a fence at each key, then announces the keys. Where that fails it says so in unfenced.
func (c *Cache[K, V]) fence(ctx context.Context, changes []*change[K, V]) {
	told := !weaken.Off(weaken.Fence) && c.placeFences(ctx, changes)
	if !told {
		if err := c.announce(ctx, invalidation.VerbInvalidate, keysOf(changes)); err != nil && !weaken.Off(weaken.FenceTold) {
			for _, ch := range changes {
				if ch.unfenced == nil {
					ch.unfenced = ch.error("bus", err)
				}
			}
		}
	}
	var late []*change[K, V]
	for _, ch := range changes {
		if ch.fenced && mono.Now()-ch.sent > fenceTTL/2 {
			late = append(late, ch)
		}
	}
	c.renewFences(ctx, late)
	for _, ch := range late {
		if mono.Now()-ch.sent > fenceTTL/2 { // the source is not to be written under a fence that may have ended, or soon will
			ch.unfenced = ch.error("remote", errors.Join(ErrUnavailable, errors.New("the fence took too long")))
		}
	}
}

// placeFences puts a fence of its own at each key, and reports whether it has announced the keys.
func (c *Cache[K, V]) placeFences(ctx context.Context, changes []*change[K, V]) (told bool) {
	if c.remote == nil || len(changes) == 0 {
		return false
	}
	ops := make([]driver.Op, len(changes))
	sent := mono.Now()
	for i, ch := range changes {
		ch.fence, ch.sent = record.NewToken(), sent
		ops[i] = driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Place, Expect: ch.fence, TTL: fenceTTL}}
	}
	effects, told := c.writeAndTell(ctx, invalidation.VerbInvalidate, keysOf(changes), ops)
	for i, e := range effects {
		ch := changes[i]
		switch e.Outcome {
		case driver.Done:
			ch.fenced = true
		case driver.Refused:
			ch.fence = record.Token{}
			ch.unfenced = ch.error("remote", errTooManyWriters)
		default:
			c.n.remoteErrors.Add(1)
			ch.unfenced = ch.error("remote", e.Err)
		}
	}
	return told
}

// renewFences makes the fences of changes last longer, and returns those that are gone. Of some it may not know.
func (c *Cache[K, V]) renewFences(ctx context.Context, changes []*change[K, V]) (gone []*change[K, V]) {
	var ops []driver.Op
	var asked []*change[K, V]
	for _, ch := range changes {
		if ch.fenced {
			ops = append(ops, driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Renew, Expect: ch.fence, TTL: fenceTTL}})
			asked = append(asked, ch)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	sent := mono.Now()
	for i, e := range c.remote.Write(ctx, ops...) {
		switch e.Outcome {
		case driver.Done:
			asked[i].sent = sent
		case driver.Refused:
			gone = append(gone, asked[i])
		default:
			c.n.remoteErrors.Add(1)
		}
	}
	return gone
}

// renew renews the fences of an open write. Where one is gone it fences anew, for the rest of the write: somebody may have stored
// meanwhile what was true before, so the key is emptied in the end.
func (w *Write[K, V]) renew() {
	c := w.c
	if c.enter() != nil {
		return // Close ends it
	}
	defer c.leave()
	select {
	case w.renewing <- struct{}{}:
	case <-w.ctx.Done():
		return
	}
	defer func() { <-w.renewing }()
	if mono.Now()-w.began > openLimit {
		w.expire()
		return
	}
	if w.ctx.Err() != nil {
		return
	}
	if !weaken.Off(weaken.Renewal) {
		if gone := c.renewFences(w.ctx, w.changes); len(gone) > 0 {
			for _, ch := range gone {
				ch.lapsed, ch.fenced = true, false
			}
			c.fence(w.ctx, gone)
		}
	}
	w.timer.Reset(fenceTTL / 3)
}

// end ends the renewals of w and reports what it was before.
func (w *Write[K, V]) end() phase {
	w.mu.Lock()
	before := w.phase
	w.phase = ended
	w.mu.Unlock()
	if before == opened {
		w.timer.Stop()
		w.stop()
		w.renewing <- struct{}{} // wait for the one under way
		<-w.renewing
		w.c.writes.remove(w)
	}
	return before
}

// expire ends a write that nobody ends, as one of unknown outcome. A Commit that comes all the same empties the keys.
func (w *Write[K, V]) expire() {
	w.mu.Lock()
	before := w.phase
	if before == opened {
		w.phase = expired
	}
	w.mu.Unlock()
	if before != opened {
		return
	}
	w.timer.Stop()
	w.stop()
	w.c.writes.remove(w)
	for _, ch := range w.changes {
		w.c.settleLater(ch)
	}
	w.c.event(EventRepair, w.changes[0].w.remoteKey, fmt.Errorf("a write of %d keys was not ended", len(w.changes)))
}

// Set says that the source will have value at key, one of the write's: Commit stores it then, if no other write was open
// meanwhile. It fails if the key is another one, or the value cannot be encoded, or is ErrTooLarge: the key is left empty then.
func (w *Write[K, V]) Set(key K, value V) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == ended {
		return errEnded
	}
	for _, ch := range w.changes {
		if ch.w.key == key {
			if err := w.c.state(w.opts, ch, policy.Answer[V]{Value: value}); err != nil {
				return ch.error("remote", err)
			}
			return nil
		}
	}
	return errors.New("tier: write: Set of a key that the write is not of")
}

// state makes the entry of what the source will have at ch, and its record.
func (c *Cache[K, V]) state(opts *call, ch *change[K, V], a policy.Answer[V]) error {
	if c.opts.Clone != nil && a.Err == nil {
		a.Value = c.opts.Clone(a.Value)
	}
	ch.entry, ch.rec = nil, nil
	ch.life = c.lifeOf(opts, a)
	if ch.life.ttl <= 0 {
		return nil // a negative answer that is not kept
	}
	e := c.newEntry(ch.w, a, ch.life, opts)
	if c.remote != nil {
		ch.entry = e
		if err := c.prepare(ch); err != nil {
			ch.entry, ch.rec = nil, nil
			return err
		}
	}
	ch.entry = e
	return nil
}

// Commit ends the write after the source was written. When it returns without an error no node serves an older value for a read
// that starts more than MaxStaleness later, and this one serves none at all. An error that is ErrInvalidationPending says that
// the keys are repaired behind. It does not give up when ctx has ended: the source has the value.
func (w *Write[K, V]) Commit(ctx context.Context) error {
	if len(w.changes) == 0 {
		return nil
	}
	if err := w.c.enter(); err != nil {
		return err
	}
	defer w.c.leave()
	before := w.end()
	if before == ended {
		return errEnded
	}
	w.finish(ctx, before == expired)
	return joined(w.changes)
}

// Abort ends the write, if Commit has not. A cause that is policy.ErrNotWritten says that the source surely was not and will not be
// changed: the fences are taken away at once. With any other, also nil, nobody knows: the fences stay for Options.SourceSettle,
// while all reads go to the source, and then the keys are emptied, and announced, behind.
func (w *Write[K, V]) Abort(ctx context.Context, cause error) {
	if len(w.changes) == 0 || w.c.enter() != nil { // Close sees to it
		return
	}
	defer w.c.leave()
	if w.end() != opened {
		return
	}
	if cause == nil {
		cause = errUnknown
	}
	for _, ch := range w.changes {
		ch.cause = cause
	}
	w.finish(ctx, false)
}

var errUnknown = errors.New("the outcome is unknown")
