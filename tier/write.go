package tier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/invalidation"
)

const (
	fenceTTL  = 5 * time.Second // of a fence whose writer died
	swapTries = 8               // before a contended Set leaves the key empty
)

var errTooManyWriters = errors.Join(ErrUnavailable, errors.New("too many writers at the key"))

// A change is one key on its way through write.
type change[K comparable, V any] struct {
	w     *want[K, V]
	entry *entry[K, V] // what is set; nil: the key is emptied
	life  life
	rec   []byte // of entry, for the next try; nil: to be made anew

	fence  record.Token // placed, or on its way, and not yet swapped or left
	stored bool         // the remote tier holds entry
	unsure bool         // a remote step has no clear answer, or surely did not happen
	told   bool         // announced by the last step
	untold bool         // nor has the announcement
	err    *Error

	// Of a Write.
	fenced   bool          // the fence was acknowledged
	sent     time.Duration // when what was last acknowledged of it was sent
	lapsed   bool          // it was gone for a while
	unfenced *Error        // why it, or its announcement, was not
	cause    error         // why the source was not written, or may not have been
}

// write is the one path on which anything changes but by a fill:
//
//	bump, fence, [the source], swap, announce, bump
//
// or, for a key that is emptied: bump, delete, announce, bump. The first bump kills what this node holds, the second what a
// reader of this node took between the first and the end. The new value is kept locally only if nothing but these two bumps
// touched its stripe.
func (c *Cache[K, V]) write(ctx context.Context, verb invalidation.Verb, opts *call, changes []*change[K, V]) error {
	var sets []string
	for _, ch := range changes {
		if ch.entry != nil {
			sets = append(sets, ch.w.remoteKey)
		}
	}
	unlock, err := c.writers.lock(ctx, c.ctx, sets)
	if err != nil {
		return err
	}
	defer unlock()

	c.stampSets(ctx, opts, changes)
	if able := c.encodable(opts, changes); len(able) > 0 {
		c.carryOut(ctx, verb, opts, able)
	}
	return joined(changes)
}

// carryOut is write of what can be stored, between the writers' turns.
func (c *Cache[K, V]) carryOut(ctx context.Context, verb invalidation.Verb, opts *call, changes []*change[K, V]) {
	first := c.bumpAll(changes)
	for _, ch := range changes {
		c.capture(ch.w)
	}
	began := c.guard.begin(changes[0].w.pos)
	if c.remote != nil {
		c.change(ctx, verb, opts, changes)
	}
	c.tell(ctx, verb, changes)
	c.repeat(ctx, verb, changes, &began)
	c.repairFailed(changes)
	if opts.skipRemoteWrite {
		for _, ch := range changes {
			ch.stored = true // here alone, as asked
		}
	}
	c.bumpAndKeep(opts, first, changes)
}

// tell announces the changes, failed ones as well: nobody knows what became of them.
func (c *Cache[K, V]) tell(ctx context.Context, verb invalidation.Verb, changes []*change[K, V]) {
	changes = slices.DeleteFunc(slices.Clone(changes), func(ch *change[K, V]) bool { return ch.told })
	if len(changes) == 0 {
		return
	}
	if err := c.announce(ctx, verb, keysOf(changes)); err != nil {
		for _, ch := range changes {
			ch.untold = true
			if ch.err == nil {
				ch.fail("bus", err)
			}
		}
	}
}

// repeat empties the keys of changes and announces that once more, as long as the remote tier may have lost what was done since
// began.
func (c *Cache[K, V]) repeat(ctx context.Context, verb invalidation.Verb, changes []*change[K, V], began *attempt) {
	for try := 0; c.guard.overtaken(began); try++ {
		var again []*change[K, V]
		for _, ch := range changes {
			if ch.err == nil {
				again = append(again, ch)
			}
		}
		if len(again) == 0 {
			return
		}
		if try == repeats {
			for _, ch := range again {
				ch.unsure = true
				ch.fail("remote", errOvertaken)
			}
			return
		}
		c.step(ctx, verb, again, func(ch *change[K, V]) driver.Op {
			ch.stored = false
			return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Delete}}
		}, nil)
		c.tell(ctx, verb, again)
	}
}

// repairFailed has those of the changes repaired whose steps were not all acknowledged.
func (c *Cache[K, V]) repairFailed(changes []*change[K, V]) {
	for _, ch := range changes {
		if !ch.unsure && !ch.untold {
			continue
		}
		r := repair{key: ch.w.remoteKey, remote: ch.unsure, tell: true}
		if !ch.fence.IsZero() {
			r.tokens = []record.Token{ch.fence}
		}
		c.repairLater(r)
		ch.err.Err = pending(ch.err.Err)
	}
}

// encodable makes the records of all values, and returns the changes that have theirs. The others fail before anything has
// happened: a value that cannot be stored must not take the old one away.
func (c *Cache[K, V]) encodable(opts *call, changes []*change[K, V]) []*change[K, V] {
	if c.remote == nil || opts.skipRemoteWrite {
		return changes
	}
	var ready []*change[K, V]
	for _, ch := range changes {
		if ch.entry != nil {
			if err := c.prepare(ch); err != nil {
				ch.fail("remote", err)
				continue
			}
		}
		ready = append(ready, ch)
	}
	return ready
}

// prepare makes the record of what ch sets, for one try.
func (c *Cache[K, V]) prepare(ch *change[K, V]) (err error) {
	ch.rec, err = c.encode(ch.w.remoteKey, ch.entry, ch.life, ch.w.stamp, ch.w.pos)
	if most, limited := c.remote.MaxRecord(); err == nil && limited && len(ch.rec) > most {
		err = fmt.Errorf("a record of %d bytes, and %v stores %d: %w", len(ch.rec), c.remote, most, ErrTooLarge)
	}
	return err
}

// bumpAll bumps each stripe of the changes once.
func (c *Cache[K, V]) bumpAll(changes []*change[K, V]) map[uint32]uint64 {
	bumped := make(map[uint32]uint64, len(changes))
	for _, ch := range changes {
		if _, ok := bumped[ch.w.stripe]; !ok {
			bumped[ch.w.stripe] = c.epochs.bump(ch.w.stripe)
		}
	}
	return bumped
}

// change does the remote steps of all changes, in as few round trips as there are steps.
func (c *Cache[K, V]) change(ctx context.Context, verb invalidation.Verb, opts *call, changes []*change[K, V]) {
	var empty, set []*change[K, V]
	for _, ch := range changes {
		if ch.entry == nil || opts.skipRemoteWrite {
			empty = append(empty, ch)
		} else {
			set = append(set, ch)
		}
	}
	c.step(ctx, verb, empty, func(ch *change[K, V]) driver.Op {
		return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Delete}}
	}, nil)
	for try := 0; len(set) > 0; try++ {
		set = c.setOnce(ctx, verb, set)
		if len(set) == 0 || try == swapTries {
			break
		}
		if err := pause(ctx, time.Millisecond+jitter.N(time.Millisecond<<try)); err != nil {
			for _, ch := range set {
				ch.unsure = true
				ch.fail("remote", err)
			}
			return
		}
	}
}

// setOnce places fences and swaps them for the values. It returns those whose fence somebody else had touched: these keys are
// left to the others, and may be tried again.
func (c *Cache[K, V]) setOnce(ctx context.Context, verb invalidation.Verb, set []*change[K, V]) (contended []*change[K, V]) {
	c.step(ctx, silently, set, func(ch *change[K, V]) driver.Op {
		ch.fence = record.NewToken()
		return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Place, Expect: ch.fence, TTL: fenceTTL}}
	}, func(ch *change[K, V]) {
		ch.fence, ch.unsure = record.Token{}, true
		ch.fail("remote", errTooManyWriters)
	})
	var ready []*change[K, V]
	for _, ch := range set {
		if ch.err != nil {
			continue
		}
		if ch.rec == nil { // a record is offered once: its token names one attempt
			if err := c.prepare(ch); err != nil {
				ch.unsure = true
				ch.fail("remote", err)
				continue
			}
		}
		ready = append(ready, ch)
	}
	c.step(ctx, verb, ready, func(ch *change[K, V]) driver.Op {
		op := driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Swap, Expect: ch.fence, Record: ch.rec, TTL: ch.life.ttl}}
		ch.rec = nil
		return op
	}, func(ch *change[K, V]) { contended = append(contended, ch) })
	for _, ch := range ready {
		if ch.err == nil && !slices.Contains(contended, ch) {
			ch.stored, ch.fence = true, record.Token{}
		}
	}
	c.leaveFences(ctx, contended)
	return contended
}

// leaveFences takes this node's tokens out of fences that others have touched. It is tried even if ctx has ended; where it fails
// the fence ends by its TTL.
func (c *Cache[K, V]) leaveFences(ctx context.Context, set []*change[K, V]) {
	var ops []driver.Op
	for _, ch := range set {
		if !ch.fence.IsZero() {
			ops = append(ops, driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Leave, Expect: ch.fence}})
			ch.fence = record.Token{}
		}
	}
	if len(ops) == 0 {
		return
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	for i, e := range c.remote.Write(ctx, ops...) {
		if e.Outcome != driver.Done {
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, ops[i].Key, e.Err)
		}
	}
}

// step applies one op of each change, and notes what failed. refused is told of those that did not happen. The last step of a
// change is announced by a verb, where that costs no further round trip; others have silently.
func (c *Cache[K, V]) step(ctx context.Context, verb invalidation.Verb, changes []*change[K, V], op func(*change[K, V]) driver.Op, refused func(*change[K, V])) {
	if len(changes) == 0 {
		return
	}
	ops := make([]driver.Op, len(changes))
	for i, ch := range changes {
		ops[i] = op(ch)
	}
	effects, told := c.writeAndTell(ctx, verb, keysOf(changes), ops)
	for i, e := range effects {
		changes[i].told = told && e.Outcome == driver.Done
		switch e.Outcome {
		case driver.Done:
		case driver.Refused:
			if refused != nil {
				refused(changes[i])
			}
		default:
			c.n.remoteErrors.Add(1)
			changes[i].unsure = true
			changes[i].fail("remote", e.Err)
		}
	}
}

func (ch *change[K, V]) fail(tier string, err error) { ch.err = ch.error(tier, err) }

func (ch *change[K, V]) error(tier string, err error) *Error {
	return &Error{Op: ch.w.op, Tier: tier, Key: ch.w.remoteKey, Err: err}
}
