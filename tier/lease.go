package tier

import (
	"context"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/weaken"
)

// Contention says what a read does at a key that somebody else is loading, on this node by another kind of call or on another
// node.
type Contention uint8

const (
	// Wait waits until the other has stored the value, or has given up, and then goes on. Of loads that bring nothing it waits
	// for two. Default.
	Wait Contention = iota
	// Fail returns ErrColdCache at once.
	Fail
)

func (c Contention) String() string {
	switch c {
	case Wait:
		return "wait"
	case Fail:
		return "fail"
	}
	return "unknown"
}

// After what pauses a waiting read asks again, with jitter, each twice the one before. One that a hint would wake is in no hurry.
const (
	firstLook  = time.Millisecond
	hintedLook = 10 * time.Millisecond
	lastLook   = 100 * time.Millisecond
)

// patience is for how many loads of others a read waits. Where they bring nothing, because the source fails or does not have the
// value, nodes would otherwise load one after another.
const patience = 2

// askLeases takes a lease at each key where nothing is, or a value that is dead by a marker, and which is about to be loaded. A lease is the remote tier's consent to
// fill, and unique to this fill: whatever is deleted or written at the key meanwhile takes it away, and with it the right to
// store what was loaded before that.
func (c *Cache[K, V]) askLeases(ctx context.Context, opts *call, wants []*want[K, V]) {
	var ops []driver.Op
	var asking []*want[K, V]
	for _, w := range wants {
		if w.entry != nil || w.err != nil || w.consent.Verb != record.Add && !w.dead {
			continue
		}
		if weaken.Off(weaken.Lease) {
			continue // the value is put where nothing is
		}
		step := record.Step{Verb: w.consent.Verb, Expect: w.consent.Expect, TTL: c.opts.LeaseTTL}
		w.consent.Verb = 0
		if w.loader == nil || opts.skipRemoteWrite {
			w.consent = driver.Op{} // nothing will be stored
			continue
		}
		w.lease = record.NewToken()
		step.Record = record.New(record.Header{Kind: record.Lease, Token: w.lease, Expiry: time.Now().Add(c.opts.LeaseTTL)}, nil)
		ops = append(ops, driver.Op{Key: w.remoteKey, Step: step})
		asking = append(asking, w)
		c.listen(w)
	}
	if len(ops) == 0 {
		return
	}
	for i, e := range c.remote.Write(ctx, ops...) {
		w := asking[i]
		switch e.Outcome {
		case driver.Done:
			w.consent = driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Swap, Expect: w.lease}}
		case driver.Refused:
			w.lease = record.Token{}
			if c.outdated(w) {
				break // what was found is from before a doubt: look again
			}
			c.look(ctx, opts, w, driver.Result{Record: e.Found})
			if w.consent.Verb == record.Add || w.dead {
				w.consent.Verb = 0 // it went away meanwhile, or another dead one came: look again
			}
		default: // it may be there: it is given back, but it is no consent, as it may also come only after a write
			if e.Outcome == driver.Unsent {
				w.lease = record.Token{}
			}
			c.look(ctx, opts, w, driver.Result{Err: e.Err})
		}
	}
}

// await waits at a key where it is somebody else's turn, and takes the turn when it comes: at a lease as OnContention says, at a
// fence at most FenceWait. Who fills wakes it by a hint, which may be lost; so it also looks by itself. What it finds or loads
// then is as of that look, whatever was invalidated before.
func (c *Cache[K, V]) await(ctx context.Context, opts *call, w *want[K, V]) {
	var atFence, fenced <-chan time.Time
	var woken <-chan struct{}
	var theirs record.Token // the lease that it waits for
	turns := 0
	for pause := firstLook; w.contended(); pause = min(2*pause, lastLook) {
		fenced = nil
		switch {
		case w.anew:
			w.err = errElsewhere
			return
		case w.busy.Kind == record.Fence:
			if atFence == nil {
				timer := time.NewTimer(c.opts.FenceWait)
				defer timer.Stop()
				atFence = timer.C
			}
			fenced = atFence
		case w.loader == nil, opts.skipRemoteRead:
			return // what the other loads is not for this read
		case c.opts.OnContention == Fail && w.busy.Kind == record.Lease:
			c.n.cold.Add(1)
			w.err = &Error{Op: w.op, Tier: "remote", Key: w.remoteKey, Err: ErrColdCache}
			return
		case w.busy.Kind == record.Lease && w.busy.Token != theirs:
			if turns++; turns > patience {
				return
			}
			theirs = w.busy.Token
		}
		if fenced == nil && woken == nil {
			c.n.waited.Add(1)
			var forget func()
			woken, forget = c.awaitHint(w)
			defer forget()
			if c.opts.Bus != nil {
				pause = max(pause, hintedLook)
			}
		}
		next := time.NewTimer(pause/2 + jitter.N(pause))
		select {
		case <-ctx.Done():
			w.err = c.ended(ctx, ctx.Err())
		case <-fenced:
			c.n.fenced.Add(1)
			next.Stop()
			return
		case <-woken:
		case <-next.C:
		}
		next.Stop()
		if w.err == nil {
			c.capture(w)
			c.read(ctx, opts, []*want[K, V]{w})
			c.askLeases(ctx, opts, []*want[K, V]{w})
		}
	}
}

// contended reports whether it is somebody else's turn at w's key.
func (w *want[K, V]) contended() bool {
	return w.entry == nil && w.err == nil && w.consent.Key != "" && w.consent.Verb == 0
}

// holdLeases keeps the leases of wants alive until the function it returns is called. That gives back those which have not become
// values.
func (c *Cache[K, V]) holdLeases(ctx context.Context, wants []*want[K, V]) (end func()) {
	var held []*want[K, V]
	var ops []driver.Op
	for _, w := range wants {
		if w.lease.IsZero() {
			continue
		}
		held = append(held, w)
		w.led = true
		if w.consent.Verb != 0 {
			ops = append(ops, driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Renew, Expect: w.lease, TTL: c.opts.LeaseTTL}})
		}
	}
	if len(held) == 0 {
		return func() {}
	}
	stop := c.renew(ctx, ops)
	return func() {
		stop()
		c.giveBack(ctx, held)
	}
}

// renew does ops every third of LeaseTTL, until ctx ends or the function it returns is called.
func (c *Cache[K, V]) renew(ctx context.Context, ops []driver.Op) (stop func()) {
	if len(ops) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with cancel, and stop waits for it
		defer close(ended)
		tick := time.NewTicker(c.opts.LeaseTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.remote.Write(ctx, ops...) // one that fails is seen when the value is refused
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// giveBack gives back the leases that wants still have. Where that fails they end by their TTL.
func (c *Cache[K, V]) giveBack(ctx context.Context, wants []*want[K, V]) {
	var ops []driver.Op
	for _, w := range wants {
		if !w.lease.IsZero() {
			ops = append(ops, w.giveBack())
		}
	}
	if len(ops) == 0 {
		return
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	for i, e := range c.remote.Write(ctx, ops...) {
		if e.Err != nil {
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, ops[i].Key, e.Err)
		}
	}
}

// giveBack returns the op that gives back the lease of w.
func (w *want[K, V]) giveBack() driver.Op {
	return driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Remove, Expect: w.lease}}
}
