package hazelcastbus

import (
	"context"
	"fmt"
	"sync"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/inbox"
)

// transport implements invalidation.Transport. Its pump reads the log, its ear the hints; what is published passes through the
// client.
type transport struct {
	conn  *hazelcastconn.Conn
	owned bool // Close closes conn
	names names
	life  life
	known known

	inbox inbox.Inbox // from the pump and the ear to Receive

	ctx    context.Context // of the goroutines
	cancel context.CancelFunc
	work   sync.WaitGroup // pump and ear
	once   sync.Once
	err    error

	// mu guards what follows: the context of the subscription at work, which Reconnect replaces.
	mu           sync.Mutex
	subscription context.Context
	renew        context.CancelFunc
}

// deliveryQueue is how many deliveries may wait for the bus. When it is full the pump stops reading; where the ring buffer then
// no longer reaches back, there is a new subscription, which flushes. Nothing is dropped in silence, save hints.
const deliveryQueue = 256

func newTransport(conn *hazelcastconn.Conn, owned bool, n names) *transport {
	t := &transport{conn: conn, owned: owned, names: n}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.inbox = inbox.New(t.ctx, "hazelcastbus", deliveryQueue)
	t.subscription, t.renew = context.WithCancel(t.ctx)
	t.life.init()
	t.work.Go((&pump{transport: t}).run) // Close ends it by t.cancel and joins it by t.work
	return t
}

// Publish implements invalidation.Transport.
func (t *transport) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	if err := t.usable(ctx, "publish"); err != nil {
		return invalidation.Position{}, err
	}
	of, newest, failure := t.life.await(ctx, t.conn.Timeout())
	if of == (invalidation.Incarnation{}) {
		if err := t.usable(ctx, "publish"); err != nil {
			return invalidation.Position{}, err
		}
		if failure == nil {
			failure = invalidation.ErrUnavailable
		}
		return invalidation.Position{}, fmt.Errorf("hazelcastbus: publish: the log was not reached: %w", failure)
	}
	items := make([]any, len(frames))
	for i, frame := range frames {
		items[i] = newItem(of, frame)
	}
	seq, err := t.add(ctx, t.names.log, items...)
	if err != nil {
		return invalidation.Position{}, t.wrap(ctx, "publish", err)
	}
	if first := seq - int64(len(items)) + 1; first <= newest {
		// This sequence was taken when the frames were sent: the log has lost entries and counts them anew.
		t.life.end(of)
		t.Reconnect()
		return invalidation.Position{}, fmt.Errorf("hazelcastbus: publish: %s: the log went back from sequence %d to %d: %w",
			t.conn.Server(), newest, first, invalidation.ErrUnavailable)
	}
	t.life.saw(of, seq)
	return position(of, seq), nil
}

// position is that of the entry at a sequence, which counts from 0.
func position(of invalidation.Incarnation, seq int64) invalidation.Position {
	return invalidation.Position{Incarnation: of, N: uint64(seq) + 1}
}

// Hint implements invalidation.Transport.
func (t *transport) Hint(ctx context.Context, frame []byte) error {
	if err := t.usable(ctx, "hint"); err != nil {
		return err
	}
	if _, err := t.add(ctx, t.names.hints, frame); err != nil {
		return t.wrap(ctx, "hint", err)
	}
	return nil
}

// usable returns why nothing can be done now.
func (t *transport) usable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.ctx.Err() != nil {
		return fmt.Errorf("hazelcastbus: %s: %w", op, invalidation.ErrClosed)
	}
	return nil
}

// wrap says where an error comes from; a context's passes untouched.
func (t *transport) wrap(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return fmt.Errorf("hazelcastbus: %s: %w", op, err)
}

// Receive implements invalidation.Transport.
func (t *transport) Receive(ctx context.Context) (invalidation.Delivery, error) {
	return t.inbox.Receive(ctx)
}

// Reconnect implements invalidation.Transport.
func (t *transport) Reconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renew()
	t.subscription, t.renew = context.WithCancel(t.ctx)
}

// subscribed returns the context of the next subscription.
func (t *transport) subscribed() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.subscription
}

// Close implements invalidation.Transport.
func (t *transport) Close() error {
	t.once.Do(func() {
		t.cancel()
		t.work.Wait()
		t.mu.Lock()
		t.renew()
		t.mu.Unlock()
		if t.owned {
			t.err = t.conn.Close()
		}
	})
	return t.err
}
