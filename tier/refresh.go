package tier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy"
)

const (
	refreshPause = time.Second // between two tries of one entry
	refreshesMax = 64          // at once
)

// refreshes are the loads behind stale values that are under way, one for a key.
type refreshes struct {
	mu sync.Mutex
	by map[string]struct{} // remote keys; guarded by mu
}

func (r *refreshes) begin(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.by[key]; ok || len(r.by) >= refreshesMax {
		return false
	}
	if r.by == nil {
		r.by = make(map[string]struct{})
	}
	r.by[key] = struct{}{}
	return true
}

func (r *refreshes) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, key)
}

// errElsewhere is what a refresh ends with if somebody else loads the key.
var errElsewhere = errors.New("loaded elsewhere")

// refresh loads a newer value than the stale e, behind, unless that was tried a moment ago. The new value replaces the very
// record that was read: see want.consent.
func (c *Cache[K, V]) refresh(e *entry[K, V], now time.Duration, loader policy.Loader[K, V]) {
	if loader == nil {
		return
	}
	next := e.retry.Load()
	if next != 0 && int64(now) < next || !e.retry.CompareAndSwap(next, int64(now+refreshPause)) {
		return
	}
	w, err := c.newWant("refresh", e.key, e.hash, loader)
	if err != nil || !c.refreshes.begin(w.remoteKey) {
		return
	}
	if c.enter() != nil {
		c.refreshes.end(w.remoteKey)
		return
	}
	go func() { // Close waits for it: it has entered
		defer c.leave()
		defer c.refreshes.end(w.remoteKey)
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.LoadTimeout)
		defer cancel()
		w.anew = true
		if c.remote == nil {
			w.held = e
		}
		c.capture(w)
		c.fillSafely(ctx, plainCall, w)
		if w.err != nil && !errors.Is(w.err, ErrClosed) && !errors.Is(w.err, errElsewhere) {
			c.event(EventRefresh, w.remoteKey, w.err)
		}
	}()
}
