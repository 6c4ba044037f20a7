package tier

import (
	"context"
	"errors"
	"time"
)

const (
	refreshPause = time.Second // between two tries of one entry
	refreshesMax = 64          // at once
)

// refresh loads a newer value than the stale e, behind, unless that was tried a moment ago. The new value replaces the very
// record that was read: see want.consent.
func (c *Cache[K, V]) refresh(e *entry[K, V], now time.Duration) {
	if c.loader == nil {
		return
	}
	next := e.retry.Load()
	if int64(now) < next || !e.retry.CompareAndSwap(next, int64(now+refreshPause)) {
		return
	}
	if c.refreshing.Add(1) > refreshesMax {
		c.refreshing.Add(-1)
		return
	}
	if c.enter() != nil {
		c.refreshing.Add(-1)
		return
	}
	go func() { // Close waits for it: it has entered
		defer c.leave()
		defer c.refreshing.Add(-1)
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.LoadTimeout)
		defer cancel()
		w, err := c.newWant("refresh", e.key, e.hash, c.loader)
		if err != nil {
			return // it had a key when it was loaded
		}
		w.anew = true
		if c.remote == nil {
			w.held = e
		}
		c.n.refreshes.Add(1)
		c.capture(w)
		c.fill(ctx, plainCall, w)
		if w.err != nil && !errors.Is(w.err, ErrClosed) {
			c.event(EventRefresh, w.remoteKey, w.err)
		}
	}()
}
