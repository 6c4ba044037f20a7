package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/sentinel"
)

const (
	flights  = 2    // reads of single keys that may be under way at once
	maxBatch = 1024 // keys in one of them
)

// A batcher lets single reads that come while others are under way travel as one. There is no timer: a read that comes
// while fewer than [flights] are under way travels alone at once, in its caller's goroutine, and whatever waits when one
// returns leaves together. So a read joins only what was not sent before the read began.
type batcher struct {
	fetch    func(ctx context.Context, keys []string) []driver.Result
	timeout  time.Duration
	server   string // for errors
	off      bool
	workers  sync.WaitGroup
	recycled sync.Pool // of *request with an empty channel and a stopped timer

	// mu guards what follows. Nothing is sent, awaited or called under it.
	mu     sync.Mutex
	wake   *sync.Cond // a worker may have something to do
	queue  []*request // not empty only while all flights are taken, or a worker is about to wake
	flying int
	closed bool
}

// A request is a read that waits. It is left by its caller without a word: its answer then goes nowhere.
type request struct {
	ctx    context.Context
	key    string
	answer chan driver.Result // of one, so that a worker never waits
	timer  *time.Timer
	left   atomic.Bool // nobody waits any more
}

// newBatcher starts the workers. close ends them.
func newBatcher(fetch func(context.Context, []string) []driver.Result, timeout time.Duration, off bool) *batcher {
	b := &batcher{fetch: fetch, timeout: timeout, off: off}
	b.wake = sync.NewCond(&b.mu)
	if !off {
		for range flights {
			b.workers.Go(b.work) // ends when closed is set and the queue is empty; joined by close
		}
	}
	return b
}

// close lets the waiting reads travel and waits for them. Later ones fail.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.wake.Broadcast()
	b.mu.Unlock()
	b.workers.Wait()
}

func (b *batcher) get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.off {
		return b.alone(ctx, key)
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, fmt.Errorf("redis: get: %w", sentinel.ErrClosed)
	}
	if b.flying < flights && len(b.queue) == 0 {
		b.flying++
		b.mu.Unlock()
		defer b.landed()
		return b.alone(ctx, key)
	}
	r := b.request(ctx, key)
	b.queue = append(b.queue, r)
	b.mu.Unlock()
	return b.await(ctx, r)
}

func (b *batcher) alone(ctx context.Context, key string) ([]byte, error) {
	found := b.fetch(ctx, []string{key})
	return found[0].Record, found[0].Err
}

// landed ends a flight.
func (b *batcher) landed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying--
	if len(b.queue) > 0 {
		b.wake.Signal()
	}
}

func (b *batcher) request(ctx context.Context, key string) *request {
	r, ok := b.recycled.Get().(*request)
	if !ok {
		r = &request{answer: make(chan driver.Result, 1), timer: time.NewTimer(b.timeout)}
	} else {
		r.timer.Reset(b.timeout)
	}
	r.ctx, r.key = ctx, key
	return r
}

func (b *batcher) await(ctx context.Context, r *request) ([]byte, error) {
	defer r.timer.Stop()
	select {
	case a := <-r.answer:
		return b.take(r, a)
	case <-ctx.Done():
		r.left.Store(true)
		return nil, ctx.Err()
	case <-r.timer.C:
	}
	select { // an answer that is there is worth more than a timeout
	case a := <-r.answer:
		return b.take(r, a)
	default:
		r.left.Store(true)
		return nil, fmt.Errorf("redis: get: %s: no answer within %v: %w", b.server, b.timeout, sentinel.ErrUnavailable)
	}
}

// take returns an answer, and keeps the request, which no worker knows any more.
func (b *batcher) take(r *request, a driver.Result) ([]byte, error) {
	r.timer.Stop()
	r.ctx, r.key = nil, ""
	b.recycled.Put(r)
	return a.Record, a.Err
}

// work sends batches until the batcher is closed and nobody waits.
func (b *batcher) work() {
	for {
		batch := b.next()
		if batch == nil {
			return
		}
		b.send(batch)
		b.landed()
	}
}

// next waits for a batch and takes it into the air. It returns nil when there will be none. Requests whose callers left are
// dropped: while a server hangs more may come than batches would carry away.
func (b *batcher) next() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.flying < flights {
			b.queue = slices.DeleteFunc(b.queue, func(r *request) bool { return r.left.Load() })
			if len(b.queue) > 0 {
				break
			}
		}
		if b.closed && len(b.queue) == 0 {
			b.wake.Broadcast() // the queue may have become empty here, with the other workers asleep
			return nil
		}
		b.wake.Wait()
	}
	n := min(len(b.queue), maxBatch)
	batch := b.queue[:n:n]
	b.queue = slices.Clone(b.queue[n:]) // the batch keeps the array
	b.flying++
	if len(b.queue) > 0 || b.closed {
		b.wake.Broadcast()
	}
	return batch
}

// send asks for the keys of a batch and answers each request that is still waited for with bytes of its own. No caller's
// context ends it: it is everybody's.
func (b *batcher) send(batch []*request) {
	keys := make([]string, 0, len(batch))
	asked := make(map[string]int, len(batch))
	for _, r := range batch {
		if r.ctx.Err() != nil {
			continue // nobody waits
		}
		if _, ok := asked[r.key]; !ok {
			asked[r.key] = len(keys)
			keys = append(keys, r.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	found := b.fetch(context.Background(), keys)
	answers := make([]driver.Result, len(batch)) // all made before the first is given: its receiver may change the bytes
	given := make([]bool, len(keys))
	for n, r := range batch {
		i, ok := asked[r.key]
		switch {
		case !ok: // its caller left before the batch was sent
			answers[n].Err = r.ctx.Err()
		case given[i]:
			answers[n] = driver.Result{Record: slices.Clone(found[i].Record), Err: found[i].Err}
		default:
			given[i] = true
			answers[n] = found[i]
		}
	}
	for n, r := range batch {
		r.answer <- answers[n]
	}
}
