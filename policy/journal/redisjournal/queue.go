package redisjournal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

// queue implements journal.Queue.
type queue struct {
	journal       *Journal
	conn          *redisconn.Conn
	allowVolatile bool
	name          string
	keys          []string
	opts          journal.Options
	consumer      string // of this queue alone
	server        atomic.Pointer[server]

	// ctx ends with Close; it is that of calls that wait.
	ctx    context.Context
	cancel context.CancelFunc

	// mu guards what follows. Nothing is sent or awaited under it.
	mu      sync.Mutex
	waiting []item // writes that have not left
	flying  int    // batches under way
	closed  bool
	has     map[string]struct{} // the ids of what is taken

	flights sync.WaitGroup // goroutines that send
	taking  taking

	once sync.Once
	err  error
}

func newQueue(j *Journal, name string, o journal.Options) *queue {
	host, _ := os.Hostname()
	q := &queue{
		journal: j, conn: j.conn, allowVolatile: j.opts.AllowVolatile, name: name, keys: j.opts.keys(name), opts: o,
		consumer: fmt.Sprintf("%s:%d:%s", host, os.Getpid(), rand.Text()[:10]),
		has:      map[string]struct{}{},
		taking:   taking{turn: make(chan struct{}, 1), from: noCursor},
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// String names the queue for people, without secrets.
func (q *queue) String() string { return fmt.Sprintf("queue %q at %s", q.name, q.conn.Redacted()) }

// GoString is String too: %#v would print the fields.
func (q *queue) GoString() string { return q.String() }

// bound returns a context that ends with ctx and with the queue.
func (q *queue) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(q.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// errClosed is that of a call after Close.
func (q *queue) errClosed() error {
	return fmt.Errorf("redisjournal: queue %q: %w", q.name, journal.ErrClosed)
}

// Close implements journal.Queue.
func (q *queue) Close() error {
	q.once.Do(func() {
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.cancel()
		q.flights.Wait()
		q.taking.turn <- struct{}{} // nobody takes from now on
		q.err = errors.Join(q.taking.end(), q.leave())
		q.journal.forget(q)
	})
	return q.err
}

// leave gives back what this queue has taken.
func (q *queue) leave() error {
	if !q.taking.ever {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*q.conn.Timeout())
	defer cancel()
	for {
		n, err := q.number(ctx, leaveScript, q.consumer)
		if err != nil {
			return q.wrap(ctx, "close: what is taken of", fmt.Errorf("is taken over by others after %v: %w", q.opts.TakeOver, err))
		}
		if n < pageKeys {
			return nil
		}
	}
}

// usable is the error of a call on a closed queue.
func (q *queue) usable(ctx context.Context) error {
	if q.ctx.Err() != nil {
		return q.errClosed()
	}
	return ctx.Err()
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
