package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

var (
	errNoTruth   = fmt.Errorf("%w: under cache-aside it is the Remote that knows what is changed, and there is none", ErrUnsupported)
	errNoSwapper = fmt.Errorf("%w: the source cannot change a value on the condition that nobody else has: it is no policy.Swapper, or there is no loader", ErrUnsupported)
	errBlind     = errors.New("tier: Update reads and writes the remote tier: SkipRemoteRead, SkipRemoteWrite and AllowStale do not go with it")
	errUnsettled = fmt.Errorf("%w: the outcome of an earlier try is unknown", ErrUnavailable)
)

const (
	updateTries = 100                   // before Update gives up
	updatePause = 64 * time.Millisecond // at most, between two tries; with jitter it may be twice that
)

// Update changes the value at key by a function of the present one, and returns what it has become. Nobody else's change of it is
// lost: if there was one meanwhile, on whichever node, next is called again with what is there then. So it may be called several
// times, and should only compute. found is false if there is no value yet. An error of next ends Update, which returns it as it is,
// and nothing has changed then. next must not alter old, nor write the key through this cache, whose other writers of it wait.
//
// Under policy.CacheAside the remote tier is what decides, by one compare-and-swap from the very record that was read, and so it is the
// truth for what is changed in this way: two nodes that count to 1000 each count to 2000, as long as that tier loses nothing. If it evicts the
// value, or forgets it when it restarts, or its TTL ends, or somebody invalidates it, the next Update begins with what the loader says,
// or without a value. That costs 1 read and 1 swap; where nothing was there a lease and a load in between. Without a Remote it is
// ErrUnsupported.
//
// Under policy.WriteThrough the source decides, whose Store has to be a policy.Swapper; else it is ErrUnsupported. The value is loaded
// from the source, and swapped there, within a write as Set does one: that costs what Set costs, and the load. It is exact on any
// number of nodes, also beside writers who know nothing of the cache. Under other policies it is ErrUnsupported.
//
// The value keeps its tags unless WithTags gives others, and lives anew for its TTL. After 100 tries, a few seconds, the error is
// ErrContended, and nothing has changed. An error that is ErrInvalidationPending, or of the source and not ErrNotWritten, says that the
// outcome is unknown; under cache-aside the key is emptied then, as after a Set, unless it turns out which it was. It ends after
// Options.LoadTimeout at the latest under cache-aside.
func (c *Cache[K, V]) Update(ctx context.Context, key K, next func(old V, found bool) (V, error), options ...Option) (value V, err error) {
	opts, changes, err := c.begin("update", []K{key}, options)
	if err != nil {
		return value, err
	}
	defer c.leave()
	ch := changes[0]
	if opts.skipRemoteRead || opts.skipRemoteWrite || opts.allowStale {
		return value, errBlind
	}
	swapper, swaps := c.opts.Policy.Store.(policy.Swapper[K, V])
	switch mode := c.opts.Policy.Mode; {
	case mode == policy.Aside && c.remote == nil:
		return value, ch.error("remote", errNoTruth)
	case mode == policy.Through && (!swaps || c.loader == nil):
		return value, ch.error("source", errNoSwapper)
	case mode != policy.Aside && mode != policy.Through:
		return value, ch.error("source", fmt.Errorf("%w under %v", ErrUnsupported, mode))
	}
	unlock, err := c.writers.lock(ctx, c.ctx, []string{ch.w.remoteKey})
	if err != nil {
		return value, err
	}
	defer unlock()
	c.n.writes.Add(1)
	if c.opts.Policy.Mode == policy.Through {
		value, err = c.updateThrough(ctx, opts, ch, swapper, next)
	} else {
		value, err = c.updateAside(ctx, opts, ch.w, next)
	}
	if err != nil {
		var none V
		return none, err
	}
	return value, nil
}

// breathe waits before another try, longer each time.
func (c *Cache[K, V]) breathe(ctx context.Context, try int) error {
	if try >= updateTries {
		return ErrContended
	}
	if err := pause(ctx, time.Millisecond+jitter.N(2*min(time.Millisecond<<min(try, 10), updatePause))); err != nil {
		return c.ended(ctx, err)
	}
	return nil
}

// An updating is an Update under cache-aside, over its tries.
type updating[K comparable, V any] struct {
	next    func(V, bool) (V, error)
	offered record.Token // of the value whose swap got no answer; zero: of none
	from    record.Token // of what it was to replace
	value   V            // that value
}

func (c *Cache[K, V]) updateAside(ctx context.Context, opts *call, w *want[K, V], next func(V, bool) (V, error)) (value V, err error) {
	ctx, cancel := c.loadDeadline(ctx)
	defer cancel()
	fresh := *opts
	fresh.fresh = true
	u := &updating[K, V]{next: next}
	for try := 0; ; try++ {
		ch := &change[K, V]{w: w.again()}
		again := false
		if again, value, err = c.updateOnce(ctx, &fresh, u, ch); again {
			if err = c.breathe(ctx, try); err == nil {
				continue
			}
			if errors.Is(err, ErrContended) {
				err = ch.error("remote", err)
			}
		}
		if err != nil {
			err = c.unsettled(u, ch, err)
		}
		return value, err
	}
}

// unsettled returns the error with which an Update ends. If a swap has got no answer, and may still come, the key is repaired.
func (c *Cache[K, V]) unsettled(u *updating[K, V], ch *change[K, V], err error) error {
	if u.offered.IsZero() {
		return err
	}
	c.epochs.bump(ch.w.stripe)
	c.repairLater(repair{key: ch.w.remoteKey, remote: !errors.Is(err, errUnsettled), tell: true})
	return ch.error("remote", pending(err))
}

// updateOnce is one try: read, compute, swap, announce. Again says that somebody else was there.
func (c *Cache[K, V]) updateOnce(ctx context.Context, opts *call, u *updating[K, V], ch *change[K, V]) (again bool, value V, err error) {
	w := ch.w
	if w.loader = c.loader; w.loader == nil {
		w.loader = policy.LoaderFunc[K, V](nothing[K, V])
	}
	one := []*want[K, V]{w}
	c.capture(w)
	c.read(ctx, opts, one)
	defer c.wakeWaiters(one)
	c.askLeases(ctx, opts, one)
	defer c.holdLeases(ctx, one)()
	switch {
	case w.err != nil:
		return false, value, w.err
	case errors.Is(w.down, errInDoubt), errors.Is(w.down, errUnsure):
		return true, value, nil // until it is repaired, and known
	case w.down != nil:
		return false, value, &Error{Op: w.op, Tier: "remote", Key: w.remoteKey, Err: w.down}
	case w.consent.Verb == 0 && w.entry == nil:
		return true, value, nil // somebody writes, or loads
	}
	if !u.offered.IsZero() {
		switch {
		case w.entry != nil && w.entry.token == u.offered: // it had arrived
			return c.arrivedLate(ctx, opts, u, ch)
		case w.entry == nil || w.entry.token != u.from:
			return false, value, errUnsettled // somebody has changed the one or the other
		}
	}
	old, err := c.oldOf(ctx, w)
	if err != nil {
		return false, value, err
	}
	if value, err = c.after(old, u.next); err != nil {
		return false, value, err
	}
	if err := c.state(opts, ch, policy.Answer[V]{Value: value, Tags: old.Tags}); err != nil {
		return false, value, ch.error("remote", err)
	}
	return c.swapIn(ctx, opts, u, ch, value)
}

// after returns what next makes of an answer.
func (c *Cache[K, V]) after(old policy.Answer[V], next func(V, bool) (V, error)) (V, error) {
	var v V
	if old.Err == nil {
		if v = old.Value; c.opts.Clone != nil {
			v = c.opts.Clone(v)
		}
	}
	return next(v, old.Err == nil)
}

// nothing is a loader without a source.
func nothing[K comparable, V any](context.Context, K) (none V, err error) { return none, ErrNotFound }

// oldOf returns what is to be changed at w: what was found, or what the source says. Of a value that does not exist the error is
// ErrNotFound.
func (c *Cache[K, V]) oldOf(ctx context.Context, w *want[K, V]) (old policy.Answer[V], err error) {
	if e := w.entry; e != nil {
		w.stamp = w.marks.stamp() // by these e is alive
		if e.negative {
			return policy.Answer[V]{Err: ErrNotFound}, nil
		}
		return policy.Answer[V]{Value: e.value, Tags: e.tags}, nil
	}
	w.stamp = c.stamp()
	if c.loader == nil {
		return policy.Answer[V]{Err: ErrNotFound}, nil
	}
	old = c.load(ctx, []*want[K, V]{w})[0]
	if old.Err != nil && !errors.Is(old.Err, ErrNotFound) {
		return old, c.sourceError(ctx, w, old.Err)
	}
	return old, nil
}

// swapIn puts the value of ch in the place of what was found, or of the lease, and announces that. There is no fence: the step itself
// is conditional, and one that is late finds what it was to replace gone.
func (c *Cache[K, V]) swapIn(ctx context.Context, opts *call, u *updating[K, V], ch *change[K, V], value V) (again bool, _ V, err error) {
	w := ch.w
	one := []*change[K, V]{ch}
	first := c.bumpAll(one)
	began := c.guard.begin(w.pos)
	step := record.Step{Verb: w.consent.Verb, Expect: w.consent.Expect, Record: ch.rec, TTL: ch.life.ttl}
	if weaken.Off(weaken.UpdateCompare) {
		step.Expect = record.TokenOf(c.remote.Get(ctx, w.remoteKey)[0].Record)
	}
	switch e := c.offer(ctx, ch, step); e.Outcome {
	case driver.Done:
		w.lease = record.Token{} // it became the value
	case driver.Refused:
		w.lease = record.Token{} // if there was one it is not there any more
		return true, value, nil
	case driver.Unsent:
		return false, value, ch.error("remote", e.Err)
	default:
		u.offered, u.from, u.value = ch.entry.token, step.Expect, value
		return true, value, nil
	}
	u.offered = record.Token{} // if there was one it cannot arrive any more
	if again := c.settleUpdate(ctx, opts, ch, &began, step.Expect, first); again {
		return true, value, nil
	}
	if ch.err != nil {
		return false, value, ch.err
	}
	return false, value, nil
}

// offer does a step that puts the value of ch, and announces it.
func (c *Cache[K, V]) offer(ctx context.Context, ch *change[K, V], step record.Step) driver.Effect {
	effects, told := c.writeAndTell(ctx, invalidation.VerbInvalidate, []string{ch.w.remoteKey}, []driver.Op{{Key: ch.w.remoteKey, Step: step}})
	e := effects[0]
	ch.rec = nil // it is offered once
	ch.stored = e.Outcome == driver.Done
	ch.told = told && ch.stored
	if e.Outcome != driver.Done && e.Outcome != driver.Refused {
		c.n.remoteErrors.Add(1)
		c.event(EventRemoteError, ch.w.remoteKey, e.Err)
	}
	return e
}

// arrivedLate ends an Update whose swap got no answer, and had happened.
func (c *Cache[K, V]) arrivedLate(ctx context.Context, opts *call, u *updating[K, V], ch *change[K, V]) (again bool, value V, err error) {
	one := []*change[K, V]{ch}
	first := c.bumpAll(one)
	began := c.guard.begin(ch.w.pos)
	u.offered = record.Token{}
	ch.entry, ch.life, ch.w.stamp = ch.w.entry.copied(), c.lifeOf(opts, policy.Answer[V]{}), ch.w.marks.stamp()
	if again := c.settleUpdate(ctx, opts, ch, &began, u.from, first); again {
		return true, value, nil
	}
	if ch.err != nil {
		return false, value, ch.err
	}
	return false, u.value, nil
}

// settleUpdate ends an Update whose value is stored: it is announced, and this node keeps it. Where that took so long that the
// server may have gone back meanwhile to what was replaced, without anybody having noticed, the value is first put in its own
// place, which shows that it is there. Again says that it is not.
func (c *Cache[K, V]) settleUpdate(ctx context.Context, opts *call, ch *change[K, V], began *attempt, replaced record.Token, first map[uint32]uint64) (again bool) {
	one := []*change[K, V]{ch}
	view := began.view
	c.tell(ctx, invalidation.VerbInvalidate, one)
	for try := 0; ch.err == nil && c.guard.overtaken(began); try++ {
		if try == repeats {
			ch.untold = true // what is there is said once more, behind
			ch.fail("remote", errOvertaken)
			break
		}
		now := ch.entry.token
		ch.entry = ch.entry.copied()
		if err := c.prepare(ch); err != nil {
			break // it was stored before, as it is
		}
		e := c.offer(ctx, ch, record.Step{Verb: record.Swap, Expect: now, Record: ch.rec, TTL: ch.life.ttl})
		switch {
		case e.Outcome == driver.Refused && record.TokenOf(e.Found) == replaced:
			return true
		case e.Outcome == driver.Refused && c.guard.moved(view):
			c.step(ctx, invalidation.VerbInvalidate, one, func(ch *change[K, V]) driver.Op {
				return driver.Op{Key: ch.w.remoteKey, Step: record.Step{Verb: record.Delete}} // the server went further back
			}, nil)
		case e.Outcome == driver.Done, e.Outcome == driver.Refused: // somebody went on from it
		default:
			ch.unsure = true
			ch.fail("remote", e.Err)
		}
		c.tell(ctx, invalidation.VerbInvalidate, one)
	}
	c.repairFailed(one)
	c.bumpAndKeep(opts, first, one)
	return false
}
