package redisconn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
)

// leastPause is how long a refresher rests between two attempts, whatever fails meanwhile.
const leastPause = 50 * time.Millisecond

// A refresher asks now and then which servers there are, and soon when something failed. Its one goroutine asks; calls
// wait for it only while nothing is known.
type refresher struct {
	ask   func(ctx context.Context) error // stores what it learns
	every time.Duration
	limit time.Duration // of one attempt

	wake chan struct{} // of one
	stop context.CancelFunc
	done chan struct{}

	// mu guards next.
	mu   sync.Mutex
	next *attempt
}

// An attempt is one that has not begun.
type attempt struct {
	over chan struct{}
	err  error // once over
}

func newRefresher(ask func(ctx context.Context) error, every, limit time.Duration) *refresher {
	r := &refresher{
		ask: ask, every: every, limit: limit,
		wake: make(chan struct{}, 1), done: make(chan struct{}), next: &attempt{over: make(chan struct{})},
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.run(ctx) // close ends it, and joins it by done
	return r
}

func (r *refresher) close() {
	r.stop()
	<-r.done
}

// soon makes an attempt begin as soon as one may.
func (r *refresher) soon() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// await waits for an attempt that begins from now on, and returns its error.
func (r *refresher) await(ctx context.Context) error {
	r.mu.Lock()
	a := r.next
	r.mu.Unlock()
	r.soon()
	select {
	case <-a.over:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return fmt.Errorf("redisconn: %w", sentinel.ErrClosed)
	}
}

func (r *refresher) run(ctx context.Context) {
	defer close(r.done)
	regular := time.NewTimer(r.every)
	defer regular.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return
		}
		regular.Reset(r.every)
		select {
		case <-r.wake:
		case <-regular.C:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		a := r.next
		r.next = &attempt{over: make(chan struct{})}
		r.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, r.limit)
		a.err = r.ask(limited)
		cancel()
		close(a.over)
		rest.Reset(leastPause)
	}
}
