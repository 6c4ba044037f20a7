package tier

import (
	"context"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/weaken"
)

// refreshKey is where the nodes elect who loads a stale value anew: beside the value, on the same server. No key of a user is
// written like this, as all of those end with the brace.
func (w *want[K, V]) refreshKey() string { return w.remoteKey + "/refresh" }

// elect lets one node of all load a newer value than the stale one that the refresh w found. It places a lease at the refresh key,
// which only saves loads: whether the value may be stored is decided by the token of the record that w found, whoever
// else loads it.
//
// Whoever is not elected has nothing to do. After a load that brought nothing the lease stays, so that others do not
// run into the same failure at once; as after the death of its node it ends by LeaseTTL. Else it is given back, with the value
// if there is one, or by end, which must be called.
func (c *Cache[K, V]) elect(ctx context.Context, w *want[K, V]) (end func(), ok bool) {
	switch {
	case w.entry != nil, w.err != nil, c.remote == nil:
		return func() {}, true
	case w.down != nil:
		w.err = errElsewhere // nothing that is loaded could be stored
		return nil, false
	case w.consent.Verb != record.Swap, weaken.Off(weaken.RefreshElection):
		return func() {}, true
	}
	w.turn = record.NewToken()
	lease := record.New(record.Header{Kind: record.Lease, Token: w.turn, Expiry: time.Now().Add(c.opts.LeaseTTL)}, nil)
	e := c.remote.Write(ctx, driver.Op{Key: w.refreshKey(), Step: record.Step{Verb: record.Add, Record: lease, TTL: c.opts.LeaseTTL}})[0]
	if e.Outcome != driver.Done {
		w.err = errElsewhere
		if e.Err != nil {
			c.n.remoteErrors.Add(1)
			c.event(EventRemoteError, w.refreshKey(), e.Err)
		}
		if e.Outcome == driver.Refused || e.Outcome == driver.Unsent {
			w.turn = record.Token{}
		}
		c.resign(ctx, w)
		return nil, false
	}
	stop := c.renew(ctx, []driver.Op{{Key: w.refreshKey(), Step: record.Step{Verb: record.Renew, Expect: w.turn, TTL: c.opts.LeaseTTL}}})
	return func() {
		stop()
		if w.err == nil || c.ctx.Err() != nil {
			c.resign(ctx, w)
		}
	}, true
}

// resign gives back the election of w, if it still has it.
func (c *Cache[K, V]) resign(ctx context.Context, w *want[K, V]) {
	if w.turn.IsZero() {
		return
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	if e := c.remote.Write(ctx, w.resign())[0]; e.Err != nil {
		c.n.remoteErrors.Add(1)
		c.event(EventRemoteError, w.refreshKey(), e.Err)
	}
}

// resign returns the op that gives back the election of w.
func (w *want[K, V]) resign() driver.Op {
	return driver.Op{Key: w.refreshKey(), Step: record.Step{Verb: record.Remove, Expect: w.turn}}
}
