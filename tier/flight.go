package tier

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
)

// flights holds the loads under way, one for a key.
type flights[K comparable, V any] struct {
	mu sync.Mutex
	by map[string]*flight[K, V] // by remote key; guarded by mu

	number atomic.Uint64 // of the newest flight
}

// A flight is one load that any number of callers wait for. Its context is nobody's: it ends at the load timeout, when the
// last waiter left, or when the cache is closed.
type flight[K comparable, V any] struct {
	w       *want[K, V]
	at      moment        // when it began; that of w may become a later one
	began   time.Duration // likewise
	number  uint64        // rising in the order in which flights begin
	fresh   bool          // it reads the markers, too
	done    chan struct{} // closed when w has its result
	cancel  context.CancelFunc
	waiters int // guarded by flights.mu
}

// fly returns the value of w, by a flight that is under way if that began late enough to be trusted, else by one of its own.
func (c *Cache[K, V]) fly(ctx context.Context, w *want[K, V], opts *call) (*entry[K, V], error) {
	f := c.board(ctx, w, opts)
	select {
	case <-f.done:
		return f.result()
	case <-ctx.Done():
	case <-c.ctx.Done():
		ctx = c.ctx
	}
	c.alight(f)
	select {
	case <-f.done: // both happened: prefer the result
		return f.result()
	default:
	}
	if ctx == c.ctx {
		return nil, ErrClosed
	}
	return nil, ctx.Err()
}

// result is what a flight that is done brought.
func (f *flight[K, V]) result() (*entry[K, V], error) {
	if f.w.entry == nil && f.w.err == nil {
		return nil, &Error{Op: f.w.op, Tier: "source", Key: f.w.remoteKey, Err: errGoexit}
	}
	return f.w.entry, f.w.err
}

// board joins a flight or starts one.
func (c *Cache[K, V]) board(ctx context.Context, w *want[K, V], opts *call) *flight[K, V] {
	shared := !opts.custom
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	if shared {
		if f := c.flights.by[w.remoteKey]; f != nil && c.joinable(f, w) {
			f.waiters++
			return f
		}
	}
	c.capture(w)
	f := &flight[K, V]{w: w, at: w.at, began: w.began, number: c.flights.number.Add(1), fresh: opts.fresh, done: make(chan struct{}), waiters: 1}
	var own context.Context
	own, f.cancel = context.WithTimeout(context.WithoutCancel(ctx), c.opts.LoadTimeout)
	if shared {
		if c.flights.by == nil {
			c.flights.by = make(map[string]*flight[K, V])
		}
		c.flights.by[w.remoteKey] = f
	}
	c.life.Add(1) // the caller is in the cache, so Close has not begun to wait
	go c.take(own, f, opts)
	return f
}

// joinable reports whether w, a read that begins now, may have the result of f: nothing was invalidated since f began, and nothing
// that this node could not have heard of yet; f loads, if w would; and for a fresh read f is one that began later.
func (c *Cache[K, V]) joinable(f *flight[K, V], w *want[K, V]) bool {
	return f.waiters > 0 && (w.asked == 0 || f.fresh && f.number >= w.asked) && (f.w.loader != nil || w.loader == nil) &&
		(c.epochs.current(w.stripe, f.at) && f.at.tags == c.tags.clock.Load() &&
			(c.remote == nil && c.bus == nil || c.trusted() || mono.Now()-f.began < c.opts.MaxStaleness/2) || weaken.Off(weaken.JoinCheck))
}

// take runs a flight. Close waits for it.
func (c *Cache[K, V]) take(ctx context.Context, f *flight[K, V], opts *call) {
	defer c.life.Done()
	defer f.cancel()
	defer close(f.done)
	defer func() {
		c.flights.mu.Lock()
		if c.flights.by[f.w.remoteKey] == f {
			delete(c.flights.by, f.w.remoteKey)
		}
		c.flights.mu.Unlock()
	}()
	defer context.AfterFunc(c.ctx, f.cancel)()
	c.fillSafely(ctx, opts, f.w)
}

// fillSafely is fill on a goroutine of the cache's own, where a panic of Weigh or a codec would end the program.
func (c *Cache[K, V]) fillSafely(ctx context.Context, opts *call, w *want[K, V]) {
	if err := guarded(func() { c.fill(ctx, opts, w) }); err != nil {
		w.entry, w.err = nil, &Error{Op: w.op, Tier: "local", Key: w.remoteKey, Err: err}
	}
}

// alight leaves a flight, and ends it when nobody waits for it any more.
func (c *Cache[K, V]) alight(f *flight[K, V]) {
	c.flights.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	c.flights.mu.Unlock()
	if last {
		f.cancel()
	}
}

// loadDeadline is what a batch may take: LoadTimeout, or less if the caller's context ends before.
func (c *Cache[K, V]) loadDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
