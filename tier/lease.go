package tier

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// Contention says what a read does at a key that somebody else is loading, on this node by another kind of call or on another
// node.
type Contention uint8

const (
	// Wait waits until the other has stored the value, or has given up, and then goes on. Default.
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

// How often a waiting read asks again, with jitter, if no hint wakes it.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// askLeases takes a lease at each key where nothing is and which is about to be loaded. A lease is the remote tier's consent to
// fill, and unique to this fill: whatever is deleted or written at the key meanwhile takes it away, and with it the right to
// store what was loaded before that.
func (c *Cache[K, V]) askLeases(ctx context.Context, opts *call, wants []*want[K, V]) {
	var ops []driver.Op
	var asking []*want[K, V]
	for _, w := range wants {
		if w.entry != nil || w.err != nil || w.consent.Verb != record.Add {
			continue
		}
		w.consent.Verb = 0
		if w.loader == nil || opts.skipRemoteWrite {
			w.consent = driver.Op{} // nothing will be stored
			continue
		}
		w.lease = record.NewToken()
		lease := record.New(record.Header{Kind: record.Lease, Token: w.lease, Expiry: time.Now().Add(c.opts.LeaseTTL)}, nil)
		ops = append(ops, driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Add, Record: lease, TTL: c.opts.LeaseTTL}})
		asking = append(asking, w)
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
			c.look(ctx, opts, w, driver.Result{Record: e.Found})
			if w.consent.Verb == record.Add {
				w.consent.Verb = 0 // it went away meanwhile: look again
			}
		default: // it may be there: nobody has it, and it ends by its TTL
			w.lease = record.Token{}
			c.look(ctx, opts, w, driver.Result{Err: e.Err})
		}
	}
}

// await waits at a key where it is somebody else's turn, and takes the turn when it comes: at a lease as OnContention says, at a
// fence at most FenceWait. Who fills wakes it by a hint, which may be lost; so it also looks by itself.
func (c *Cache[K, V]) await(ctx context.Context, opts *call, w *want[K, V]) {
	var fenced <-chan time.Time
	var woken <-chan struct{}
	waiting := false
	for pause := firstLook; w.contended(); pause = min(2*pause, lastLook) {
		switch {
		case w.busy == record.Fence && fenced == nil:
			timer := time.NewTimer(c.opts.FenceWait)
			defer timer.Stop()
			fenced = timer.C
		case w.busy == record.Fence:
		case w.anew:
			w.err = errElsewhere
			return
		case w.loader == nil:
			return // whatever the other loads, it is not there
		case c.opts.OnContention == Fail && w.busy == record.Lease:
			c.n.cold.Add(1)
			w.err = &Error{Op: w.op, Tier: "remote", Key: w.remoteKey, Err: ErrColdCache}
			return
		case !waiting:
			waiting = true
			c.n.waited.Add(1)
			if bus := c.opts.Bus; bus != nil {
				var forget func()
				woken, forget = bus.Woken(filledTopic(w.remoteKey))
				defer forget()
				bus.Wake(wantedTopic(w.remoteKey))
			}
		}
		next := time.NewTimer(pause/2 + rand.N(pause))
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
			c.read(ctx, opts, []*want[K, V]{w})
			c.askLeases(ctx, opts, []*want[K, V]{w})
		}
	}
}

// contended reports whether it is somebody else's turn at w's key.
func (w *want[K, V]) contended() bool {
	return w.entry == nil && w.err == nil && w.consent.Key != "" && w.consent.Verb == 0
}

// The topics of hints: somebody waits for a key that another fills, and it was filled. No value travels over the bus.
func wantedTopic(remoteKey string) string { return "want " + remoteKey }
func filledTopic(remoteKey string) string { return "filled " + remoteKey }

// holdLeases keeps the leases of wants alive until the function it returns is called, and that tells whoever waits for the keys.
func (c *Cache[K, V]) holdLeases(ctx context.Context, wants []*want[K, V]) (filled func()) {
	var ops []driver.Op
	var tell []func()
	for _, w := range wants {
		if w.lease.IsZero() {
			continue
		}
		ops = append(ops, driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Renew, Expect: w.lease, TTL: c.opts.LeaseTTL}})
		if bus := c.opts.Bus; bus != nil {
			wanted, forget := bus.Woken(wantedTopic(w.remoteKey))
			tell = append(tell, func() {
				select {
				case <-wanted:
					bus.Wake(filledTopic(w.remoteKey))
				default:
				}
				forget()
			})
		}
	}
	if len(ops) == 0 {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with stop, which the caller waits for
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
		stop()
		<-ended
		for _, f := range tell {
			f()
		}
	}
}

// leaveLeases returns the ops that give back the leases of wants. Where one fails the lease ends by its TTL.
func leaveLeases[K comparable, V any](wants []*want[K, V]) (ops []driver.Op) {
	for _, w := range wants {
		if !w.lease.IsZero() {
			ops = append(ops, driver.Op{Key: w.remoteKey, Step: record.Step{Verb: record.Remove, Expect: w.lease}})
		}
	}
	return ops
}
