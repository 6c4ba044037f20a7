package memcachedbus

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/inbox"
)

// transport implements invalidation.Transport. Its pump looks at the log now and then; who publishes looks, too, and hands over
// what there was.
type transport struct {
	pool  *memcachedconn.Pool
	owned bool // Close closes pool
	owner memcachedconn.Owner
	names names
	poll  time.Duration

	// turn is held by who looks at the log or appends to it, so that what this node sees comes in the order in which the
	// server had it. Capacity 1.
	turn chan struct{}

	// mu guards latest, the newest sight that the pump has not taken yet.
	mu      sync.Mutex
	latest  *sight
	news    chan struct{} // there is one; capacity 1
	renewed atomic.Bool   // Reconnect was called

	inbox inbox.Inbox // from the pump to Receive

	ctx    context.Context // of everything
	cancel context.CancelFunc
	work   sync.WaitGroup // pump
	once   sync.Once
	err    error
}

// deliveryQueue is how many deliveries may wait for the bus. When it is full the pump stops; what the log no longer has when it
// goes on begins a new subscription. Nothing is dropped in silence, save hints.
const deliveryQueue = 256

func newTransport(pool *memcachedconn.Pool, owned bool, o *Options) *transport {
	t := &transport{
		pool: pool, owned: owned, names: o.names(), poll: o.Poll,
		turn: make(chan struct{}, 1), news: make(chan struct{}, 1),
	}
	t.owner = pool.Pick(t.names.log)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.inbox = inbox.New(t.ctx, "memcachedbus", deliveryQueue)
	t.work.Go((&pump{transport: t}).run) // Close ends it by t.cancel and joins it by t.work
	return t
}

// Publish implements invalidation.Transport.
func (t *transport) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	a := appending{transport: t, frames: frames}
	err := t.inTurn(ctx, "publish", func(ctx context.Context) error {
		a.ctx, a.deadline = ctx, time.Now().Add(t.pool.Options().Timeout*3/4)
		return t.owner.Read(ctx, a.run)
	})
	if err != nil {
		return invalidation.Position{}, err
	}
	return a.after.position(), nil
}

// look finds out what there is, and begins the log where there is none.
func (t *transport) look(ctx context.Context) error {
	return t.inTurn(ctx, "look", func(ctx context.Context) error {
		return t.owner.Read(ctx, func(s *memcachedconn.Session) error {
			for {
				f, err := t.read(s)
				if err == nil && f.lost {
					err = t.write(s, f, f.log)
				}
				if err == nil {
					t.post(f.sight)
				}
				if err != errRaced {
					return err
				}
			}
		})
	})
}

// inTurn runs do when it is this node's turn, which comes when those before have ended in their time.
func (t *transport) inTurn(ctx context.Context, op string, do func(context.Context) error) error {
	return t.call(ctx, op, func(ctx context.Context) error {
		timer := time.NewTimer(4 * t.pool.Options().Timeout)
		defer timer.Stop()
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("the server is too slow: %w", invalidation.ErrUnavailable)
		}
		defer func() { <-t.turn }()
		return do(ctx)
	})
}

// call runs do with a context that also ends with Close, and says where its error comes from; that of the caller's context passes
// untouched.
func (t *transport) call(caller context.Context, op string, do func(context.Context) error) error {
	if err := caller.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	err := t.ctx.Err()
	if err == nil {
		err = do(ctx)
	}
	switch {
	case err == nil:
		return nil
	case caller.Err() != nil:
		return caller.Err()
	case t.ctx.Err() != nil:
		err = invalidation.ErrClosed
	}
	return fmt.Errorf("memcachedbus: %s: %w", op, err)
}

// post hands a sight over to the pump. The caller has the turn.
func (t *transport) post(s sight) {
	t.mu.Lock()
	t.latest = &s
	t.mu.Unlock()
	t.wake()
}

func (t *transport) wake() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// newest takes the sight that was handed over last, nil if it was taken.
func (t *transport) newest() *sight {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.latest
	t.latest = nil
	return s
}

// Receive implements invalidation.Transport.
func (t *transport) Receive(ctx context.Context) (invalidation.Delivery, error) {
	return t.inbox.Receive(ctx)
}

// Reconnect implements invalidation.Transport. Connections need no replacement here: one that does not answer in time is given
// up by the request that notices.
func (t *transport) Reconnect() {
	t.renewed.Store(true)
	t.wake()
}

// Close implements invalidation.Transport.
func (t *transport) Close() error {
	t.once.Do(func() {
		t.cancel()
		t.work.Wait()
		if t.owned {
			t.err = t.pool.Close()
		}
	})
	return t.err
}
