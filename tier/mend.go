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
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
)

const (
	mendBatch   = 256                   // keys in one bulk write
	mendTimeout = 5 * time.Second       // of one bulk write or announcement
	firstMend   = 10 * time.Millisecond // pause after a try that failed; it doubles
	lastMend    = time.Second
)

// An UnrepairedError says what was still to be repaired when a cache was closed. Other nodes may serve older values of these
// keys until their TTL ends, unless a RepairLog keeps them for the next process.
type UnrepairedError struct {
	Cache string
	Keys  []string // as the remote tier has them, sorted
	Rest  bool     // a Clear or tags, too
}

func (e *UnrepairedError) Error() string {
	rest := ""
	if e.Rest {
		rest = ", and a clear or tags,"
	}
	return fmt.Sprintf("tier: close %q: %d keys%s were written and could not be invalidated everywhere", e.Cache, len(e.Keys), rest)
}

// repairLater has rs repaired behind. Keys that the remote tier may be wrong about are in doubt when it returns. It may be called by
// anybody, and does not block.
func (c *Cache[K, V]) repairLater(rs ...repair) {
	if weaken.Off(weaken.Repair) {
		return
	}
	for _, r := range rs {
		if c.remote == nil {
			r = repair{key: r.key, tell: r.tell, later: r.later, due: r.due}
		}
		if r.tell = r.tell && c.bus != nil; !r.remote && !r.tell {
			continue
		}
		key, overflow := c.repairs.add(r)
		c.logAdd(key)
		switch {
		case r.remote && (overflow || r.key == ""):
			c.epochs.flush()
		case r.remote:
			c.epochs.bump(c.epochs.stripeOf(r.key))
		}
		if r.remote {
			c.n.doubts.Add(1)
		}
		if overflow {
			c.event(EventRepair, "", fmt.Errorf("more than %d keys are to be repaired: the whole cache is cleared instead", repairsMax))
		}
	}
	c.startMending()
}

// repairTask has fix called behind until it returns nil, in place of an earlier one of that name. With doubt, all that this
// node reads until then comes from the source.
func (c *Cache[K, V]) repairTask(name string, doubt bool, fix func(ctx context.Context) error) {
	if weaken.Off(weaken.Repair) {
		return
	}
	c.repairs.addTask(name, doubt, fix)
	if doubt {
		c.epochs.flush()
		c.n.doubts.Add(1)
	}
	c.startMending()
}

// startMending starts the goroutine that repairs, if there is something to do and none. It ends when all is done, or with the cache.
func (c *Cache[K, V]) startMending() {
	if c.enter() != nil {
		return // Close tries it once more
	}
	wake, ok := c.repairs.start()
	if !ok {
		c.leave()
		return
	}
	go func() { // Close waits for it: it has entered
		defer c.leave()
		c.mendAll(wake)
	}()
}

func (c *Cache[K, V]) mendAll(wake <-chan struct{}) {
	pause := firstMend
	for {
		r, due, stopped := c.repairs.next(mono.Now(), false)
		rest := time.Duration(-1)
		switch {
		case stopped:
			return
		case r.idle():
			rest = max(0, due-mono.Now())
		case c.mend(c.ctx, r):
			pause = firstMend
			continue
		}
		awake := wake
		if rest < 0 { // it failed: whatever else comes waits too
			rest, awake = pause/2+jitter.N(pause), nil
			pause = min(2*pause, lastMend)
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-awake:
		case <-c.ctx.Done():
			timer.Stop()
			c.repairs.stop()
			return
		}
		timer.Stop()
	}
}

// mend tries to do all of r, and reports whether it could.
func (c *Cache[K, V]) mend(ctx context.Context, r round) (ok bool) {
	ok = true
	for batch := range slices.Chunk(r.hold, mendBatch) {
		ok = c.hold(ctx, batch) && ok
	}
	for batch := range slices.Chunk(r.keys, mendBatch) {
		ok = c.mendKeys(ctx, batch) && ok
	}
	if r.all != nil {
		ok = c.mendEverything(ctx, *r.all) && ok
	}
	for name, t := range r.tasks {
		ok = c.mendTask(ctx, name, t) && ok
	}
	return ok
}

// hold places fences that outlast the doubt about their keys, and announces that: meanwhile all nodes read the source.
func (c *Cache[K, V]) hold(ctx context.Context, rs []repair) (ok bool) {
	ops := make([]driver.Op, len(rs))
	for i, r := range rs {
		last := r.tokens[len(r.tokens)-1]
		ops[i] = driver.Op{Key: r.key, Step: record.Step{Verb: record.Place, Expect: last, TTL: max(0, r.due-mono.Now()) + fenceTTL}}
	}
	ctx, cancel := context.WithTimeout(ctx, mendTimeout)
	defer cancel()
	var placed []repair
	var keys []string
	for i, e := range c.remote.Write(ctx, ops...) {
		if e.Outcome == driver.Done || e.Outcome == driver.Refused { // refused: there are more writers than a fence holds, so there is one
			placed, keys = append(placed, rs[i]), append(keys, rs[i].key)
		}
	}
	if len(keys) > 0 && c.announce(ctx, invalidation.VerbInvalidate, keys) != nil {
		return false
	}
	for _, r := range placed {
		c.repairs.held(r)
	}
	return len(placed) == len(rs)
}

// mendKeys empties keys at the remote tier and announces that.
func (c *Cache[K, V]) mendKeys(ctx context.Context, rs []repair) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, mendTimeout)
	defer cancel()
	began := c.guard.begin(invalidation.Position{})
	failed := c.emptyRemote(ctx, rs)
	var tell []string
	var telling []repair
	for _, r := range rs {
		if !failed[r.key] {
			c.epochs.bump(c.epochs.stripeOf(r.key)) // what a reader here took before
			if r.remote {
				c.repairs.emptied(r)
			}
			if r.tell {
				tell, telling = append(tell, r.key), append(telling, r)
			}
		}
	}
	if len(tell) > 0 && c.announce(ctx, invalidation.VerbInvalidate, tell) != nil {
		return false
	}
	if c.guard.overtaken(&began) {
		c.repairLater(rs...)
		return false
	}
	for _, r := range telling {
		c.epochs.bump(c.epochs.stripeOf(r.key))
		c.repairs.told(r)
	}
	for _, r := range rs {
		if !failed[r.key] {
			c.logDone(r.key)
		}
	}
	c.n.repaired.Add(uint64(len(rs) - len(failed)))
	return len(failed) == 0
}

// emptyRemote does the remote step of rs, and returns the keys where that failed.
func (c *Cache[K, V]) emptyRemote(ctx context.Context, rs []repair) map[string]bool {
	var ops []driver.Op
	for _, r := range rs {
		switch {
		case !r.remote || c.remote == nil:
		case len(r.tokens) == 0:
			ops = append(ops, driver.Op{Key: r.key, Step: record.Step{Verb: record.Delete}})
		default:
			for _, t := range r.tokens {
				ops = append(ops, driver.Op{Key: r.key, Step: record.Step{Verb: record.Leave, Expect: t}})
			}
		}
	}
	failed := make(map[string]bool)
	if len(ops) == 0 {
		return failed
	}
	for i, e := range c.remote.Write(ctx, ops...) {
		if e.Outcome != driver.Done && e.Outcome != driver.Refused {
			failed[ops[i].Key] = true
		}
	}
	return failed
}

// mendEverything clears the cache in place of repairs that are too many, or of a Clear that failed.
func (c *Cache[K, V]) mendEverything(ctx context.Context, r repair) bool {
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	defer cancel()
	if r.remote {
		if _, err := c.clear(ctx); err != nil {
			return false
		}
		c.flushOwn()
		c.repairs.emptied(r)
	} else if c.announce(ctx, invalidation.VerbClear, nil) != nil {
		return false
	}
	c.repairs.told(r)
	c.flushOwn()
	c.logDone(r.key)
	c.n.repaired.Add(1)
	return true
}

func (c *Cache[K, V]) mendTask(ctx context.Context, name string, t *task) bool {
	ctx, cancel := context.WithTimeout(ctx, mendTimeout)
	defer cancel()
	err := errGoexit
	if p := guarded(func() { err = t.fix(ctx) }); p != nil {
		err = p
	}
	if err != nil {
		return false
	}
	c.repairs.fixed(name, t)
	if t.doubt {
		c.epochs.flush()
	}
	c.n.repaired.Add(1)
	return true
}

// mendLast tries once more what is not repaired when the cache closes, and says what remains.
func (c *Cache[K, V]) mendLast() error {
	if c.repairs.waiting() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, _, _ := c.repairs.next(mono.Now(), true)
	if c.mend(ctx, r) && c.repairs.waiting() == 0 {
		return nil
	}
	keys, rest := c.repairs.left()
	if len(keys) == 0 && !rest {
		return nil
	}
	err := &UnrepairedError{Cache: c.name, Keys: keys, Rest: rest}
	c.event(EventRepair, "", err)
	return err
}

// errInDoubt is why the remote tier is not asked for a key.
var errInDoubt = fmt.Errorf("%w: the key is in doubt until it is repaired", ErrUnavailable)

// inDoubt reports whether this node has to read key from the source.
func (c *Cache[K, V]) inDoubt(key string) bool {
	return c.repairs.inDoubt(key) && !weaken.Off(weaken.RepairBypass)
}

// outdated reports whether a doubt that may be w's was raised or settled, or the server became another, since w was captured: a reply that was asked for then
// is to be asked for again.
func (c *Cache[K, V]) outdated(w *want[K, V]) bool {
	if c.guard.moved(w.view) {
		return true
	}
	return c.repairs.serial.Load() != w.doubts && !c.epochs.current(w.stripe, w.at) && !weaken.Off(weaken.RepairBypass)
}

// repairOf returns the repair of a key at which a step failed. A change that has a token takes it out of the fence.
func repairOf(key string, tokens ...record.Token) repair {
	return repair{key: key, remote: true, tell: true, tokens: tokens}
}

// pending adds to why other nodes may not know of a change that they will not until it is repaired.
func pending(err error) error { return errors.Join(ErrInvalidationPending, err) }
