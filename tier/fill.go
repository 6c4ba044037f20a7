package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// A want is one key on its way through fill.
type want[K comparable, V any] struct {
	op        string
	key       K
	hash      uint64
	remoteKey string
	stripe    uint32

	loader policy.Loader[K, V] // nil: what no tier has is not found
	anew   bool                // a stale value will not do
	asked  uint64              // the first flight that is late enough
	known  *entry[K, V]        // what the local tier has, for who finds its very record

	// Captured before anything was read.
	at     moment
	began  time.Duration
	doubts uint64 // raised and settled until then
	view   *view  // of the guard

	pos   invalidation.Position // of the bus
	marks *markersCopy          // by which what was found is judged
	stamp stamp                 // of what is loaded, or set

	held    *entry[K, V]  // a stale value that was found
	consent driver.Op     // the step by which a loaded value may be stored; without a verb it may not
	lease   record.Token  // of this fill, if it has one
	turn    record.Token  // of this refresh, if it was elected
	led     bool          // it had a lease
	busy    record.Header // of what is at the key, if it is somebody else's turn; zero: unknown
	dead    bool          // at the key is a value that was invalidated by tag or a Clear
	down    error         // why the remote tier could not be asked

	wanted <-chan struct{} // has a signal when somebody waits for the key; nil: nobody listens
	deafen func()          // ends that

	// The result.
	entry *entry[K, V]
	err   error
	kept  bool // what was loaded is stored
}

func (c *Cache[K, V]) newWant(op string, key K, hash uint64, loader policy.Loader[K, V]) (*want[K, V], error) {
	remoteKey, err := c.remoteKey(key)
	if err != nil {
		return nil, fmt.Errorf("tier: %s: %w", op, err)
	}
	return &want[K, V]{op: op, key: key, hash: hash, remoteKey: remoteKey, stripe: c.epochs.stripeOf(remoteKey), loader: loader}, nil
}

// again returns w as it was made.
func (w *want[K, V]) again() *want[K, V] {
	return &want[K, V]{op: w.op, key: w.key, hash: w.hash, remoteKey: w.remoteKey, stripe: w.stripe, loader: w.loader}
}

// capture notes the moment before anything is read for w.
func (c *Cache[K, V]) capture(w *want[K, V]) {
	w.began = mono.Now()
	w.doubts = c.repairs.serial.Load()
	w.view = c.guard.look()
	w.pos = c.guard.position()
	w.at = c.epochs.at(w.stripe)
	w.at.tags = c.tags.clock.Load()
}

// fill is the one path on which values come into the cache: capture, read, lease, load, consent, keep. Its wants have been
// captured. It gives each of them an entry or an error. It costs one bulk read of the remote tier, and for what is not there
// one bulk write of leases, one batch load, and one bulk write of what was loaded. Of several keys, those that somebody else is
// writing or loading are loaded with the others, and not kept.
func (c *Cache[K, V]) fill(ctx context.Context, opts *call, wants ...*want[K, V]) {
	c.read(ctx, opts, wants)
	if wants[0].anew {
		end, ok := c.elect(ctx, wants[0])
		if !ok {
			return
		}
		defer end()
	}
	defer c.wakeWaiters(wants)
	c.askLeases(ctx, opts, wants)
	if len(wants) == 1 {
		c.await(ctx, opts, wants[0])
	}
	defer c.holdLeases(ctx, wants)()
	var missing []*want[K, V]
	for _, w := range wants {
		if w.entry == nil && w.err == nil {
			missing = append(missing, w)
		}
	}
	if len(missing) == 0 {
		return
	}
	for _, w := range missing {
		w.stamp = c.stamp()
	}
	if missing[0].anew {
		c.n.refreshes.Add(1)
	}
	answers := c.load(ctx, missing)
	c.store(ctx, opts, missing, answers)
}

// rereads is how often a read is asked again because of doubts that came and went, before it goes to the source.
const rereads = 2

// read asks the remote tier for all wants at once, but for those in doubt. What it has is kept locally.
func (c *Cache[K, V]) read(ctx context.Context, opts *call, wants []*want[K, V]) {
	if wants = c.readPending(ctx, opts, wants); len(wants) == 0 {
		return
	}
	if c.remote == nil || opts.skipRemoteRead && opts.skipRemoteWrite {
		return
	}
	for try := 0; ; try++ {
		if wants = c.believed(wants, try > rereads); len(wants) == 0 {
			return
		}
		if wants = c.sure(ctx, wants); len(wants) == 0 {
			return
		}
		keys := make([]string, len(wants))
		for i, w := range wants {
			keys[i] = w.remoteKey
		}
		var again []*want[K, V]
		results, marks := c.getMarked(ctx, opts.fresh, keys)
		for i, found := range results {
			w := wants[i]
			w.marks = marks
			if c.outdated(w) {
				c.capture(w)
				again = append(again, w)
			} else {
				c.look(ctx, opts, w, found)
			}
		}
		wants = again
	}
}

// believed returns those of wants that are not in doubt. The others come from the source, and are not kept.
func (c *Cache[K, V]) believed(wants []*want[K, V], none bool) []*want[K, V] {
	if c.repairs.doubted.Load() == 0 && !none {
		return wants
	}
	var ask []*want[K, V]
	for _, w := range wants {
		if none || c.inDoubt(w.remoteKey) {
			w.consent, w.busy, w.down = driver.Op{}, record.Header{}, errInDoubt
			c.n.doubted.Add(1)
		} else {
			ask = append(ask, w)
		}
	}
	return ask
}

// sure returns wants when it is known whether the remote tier's data are of today. If that takes too long it returns none, and they
// come from the source, and are not kept.
func (c *Cache[K, V]) sure(ctx context.Context, wants []*want[K, V]) []*want[K, V] {
	if c.guard.settled(wants[0].view) {
		return wants
	}
	known := c.guard.await(ctx)
	for _, w := range wants {
		if known {
			c.capture(w)
		} else {
			w.consent, w.busy, w.down = driver.Op{}, record.Header{}, errUnsure
			c.n.rewound.Add(1)
		}
	}
	if !known {
		return nil
	}
	return wants
}

// look decides what a reply of the remote tier means for w.
func (c *Cache[K, V]) look(ctx context.Context, opts *call, w *want[K, V], found driver.Result) {
	w.consent, w.busy, w.dead = driver.Op{}, record.Header{}, false
	if found.Err != nil {
		if ctx.Err() != nil {
			w.err = c.ended(ctx, found.Err)
			return
		}
		w.down = found.Err
		c.n.remoteErrors.Add(1)
		c.event(EventRemoteError, w.remoteKey, found.Err)
		return
	}
	h, body, ok := record.Parse(found.Record)
	switch {
	case !ok:
		w.consent = driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Add}}
		return
	case h.Kind == record.Lease, h.Kind == record.Fence:
		w.consent, w.busy = driver.Op{Key: w.remoteKey}, h // no verb: somebody else's turn
		return
	}
	w.consent = driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Swap, Expect: h.Token}}
	if opts.skipRemoteRead {
		return
	}
	e, err := c.entryOf(w, h, body)
	switch {
	case err != nil:
		c.n.cannotDecode(err)
		c.event(EventUndecodable, w.remoteKey, err)
	case c.guard.dead(w.view, e.pos):
		c.n.rewound.Add(1)
	case c.dead(w, e.stamp, e.slots):
		w.dead = true
		c.capture(w) // what it was is of no account
		c.n.marked.Add(1)
	case w.anew && e.stale(mono.Now()):
		w.held = e
	default:
		w.entry = e
		c.keep(opts, e)
	}
}

// store offers what was loaded to the remote tier, keeps locally what that took, and gives back the leases of the rest. Whose
// fate is unknown after it still has its lease.
func (c *Cache[K, V]) store(ctx context.Context, opts *call, wants []*want[K, V], answers []policy.Answer[V]) {
	var ops []driver.Op
	var offered []*want[K, V]
	for i, w := range wants {
		if weaken.Off(weaken.TagPosition) {
			w.stamp = c.stamp()
		}
		a := answers[i]
		if a.Err != nil && !errors.Is(a.Err, ErrNotFound) {
			w.err = c.sourceError(ctx, w, a.Err)
			continue
		}
		l := c.lifeOf(opts, a)
		w.entry = c.newEntry(w, a, l, opts)
		switch {
		case w.loader == nil:
		case l.ttl <= 0:
			if w.held != nil || opts.skipLocalRead || w.replaces() && !opts.skipRemoteWrite {
				c.gone(ctx, w)
			}
		case c.remote == nil:
			c.keep(opts, w.entry)
			w.kept = true
		case opts.skipRemoteWrite, w.consent.Verb == 0:
			if weaken.Off(weaken.NoBlindLocal) {
				c.keep(opts, w.entry)
			}
		case !c.epochs.current(w.stripe, w.at) || !c.tags.current(w.entry.slots, w.at.tags):
			c.n.refusedFills.Add(1) // invalidated while it was loaded
		default:
			b, err := c.encode(w.remoteKey, w.entry, l, w.stamp, w.pos)
			if errors.Is(err, ErrTooLarge) { // as when the backend says so: the caller has its value, and it is not kept
				c.n.remoteErrors.Add(1)
				c.event(EventRemoteError, w.remoteKey, err)
				if w.replaces() {
					c.gone(ctx, w) // what is there is older
				}
				continue
			}
			if err != nil {
				w.err = &Error{Op: w.op, Tier: "remote", Key: w.remoteKey, Err: err}
				continue
			}
			if weaken.Off(weaken.SoftCAS) && w.anew {
				w.consent.Expect = record.TokenOf(c.remote.Get(ctx, w.remoteKey)[0].Record)
			}
			w.consent.Record, w.consent.TTL = b, l.ttl
			ops = append(ops, w.consent)
			offered = append(offered, w)
		}
	}
	written := offered
	for _, w := range wants {
		if !w.lease.IsZero() && w.consent.Record == nil {
			ops = append(ops, w.giveBack())
			written = append(written, w)
		}
		if !w.turn.IsZero() && w.err == nil && len(offered) > 0 {
			ops = append(ops, w.resign())
			written = append(written, w)
		}
	}
	if len(ops) == 0 {
		return
	}
	if ctx.Err() != nil { // others wait for these keys
		var cancel context.CancelFunc
		ctx, cancel = cleanup(ctx)
		defer cancel()
	}
	for i, e := range c.remote.Write(ctx, ops...) {
		w := written[i]
		if e.Err == nil && ops[i].Key != w.remoteKey {
			w.turn = record.Token{}
		} else if e.Err == nil {
			w.lease = record.Token{} // it became the value, was lost, or was given back
		}
		switch {
		case i >= len(offered):
		case e.Outcome == driver.Done:
			c.keep(opts, w.entry)
			w.kept = true
		case e.Outcome == driver.Refused:
			c.n.refusedFills.Add(1)
		default: // the caller has its value all the same; it is not kept
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, w.remoteKey, e.Err)
		}
	}
}

// replaces reports whether a value was found that what is loaded takes the place of.
func (w *want[K, V]) replaces() bool { return w.consent.Verb == record.Swap && w.lease.IsZero() }

// gone takes out a stale or unusable value in whose place nothing can be put: the source says that it is no more, where negative
// answers are not kept, or the new one is too large.
func (c *Cache[K, V]) gone(ctx context.Context, w *want[K, V]) {
	if w.replaces() {
		e := c.remote.Write(ctx, driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Remove, Expect: w.consent.Expect}})[0]
		if e.Err != nil {
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, w.remoteKey, e.Err)
		}
	}
	c.epochs.bump(w.stripe)
}

// keep puts e into the local tier, if nothing was invalidated since its load began.
func (c *Cache[K, V]) keep(opts *call, e *entry[K, V]) {
	if c.local == nil || opts.skipLocalWrite {
		return
	}
	if weaken.Off(weaken.EpochCheck) {
		m := c.epochs.at(e.stripe)
		e.epoch, e.gen, e.tagged = m.epoch, m.gen, c.tags.clock.Load()
	}
	if !c.epochs.current(e.stripe, moment{epoch: e.epoch, gen: e.gen}) || !c.tags.current(e.slots, e.tagged) {
		return
	}
	if muted := c.muted.Load(); muted != 0 && int64(mono.Now()) < muted {
		return
	}
	c.local.put(e)
}

// ended returns the error of a call whose context ended: ErrClosed if that was by Close.
func (c *Cache[K, V]) ended(ctx context.Context, err error) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Cache[K, V]) sourceError(ctx context.Context, w *want[K, V], err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return c.ended(ctx, err)
	}
	tier := "source"
	if w.down != nil && errors.Is(err, w.down) {
		tier = "remote"
	}
	if j, ok := errors.AsType[*journalError](err); ok {
		tier, err = "journal", j.error
	}
	return &Error{Op: w.op, Tier: tier, Key: w.remoteKey, Err: err}
}
