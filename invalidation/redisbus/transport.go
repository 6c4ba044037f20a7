package redisbus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/inbox"
)

// transport implements invalidation.Transport. Its pump reads the subscription; everything else passes through the client.
type transport struct {
	conn  *redisconn.Conn
	owned bool // Close closes conn
	names names
	reach reach

	unlogged atomic.Pointer[string] // why what was published last was not kept; "" if it was

	inbox inbox.Inbox // from the pump to Receive

	// mu guards what follows.
	mu        sync.Mutex
	listening []*listener // the subscription at work, and its successor, which Reconnect and Close may end

	ctx     context.Context // of the pump
	cancel  context.CancelFunc
	pumped  chan struct{} // closed when the pump has ended
	closing sync.WaitGroup
	once    sync.Once
	err     error
}

func newTransport(conn *redisconn.Conn, owned bool, o Options) *transport {
	t := &transport{conn: conn, owned: owned, names: o.names(conn), reach: o.reach(), pumped: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.inbox = inbox.New(t.ctx, "redisbus", deliveryQueue)
	go t.pump() // Close ends it by t.cancel and by ending its subscription, and joins it by t.pumped
	return t
}

// Publish implements invalidation.Transport.
func (t *transport) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	p, err := t.publish(ctx, frames)
	if err != nil {
		return p, t.wrap(ctx, "publish", err)
	}
	return p, nil
}

// Hint implements invalidation.Transport.
func (t *transport) Hint(ctx context.Context, frame []byte) error {
	n, err := t.conn.Primary(ctx, t.names.log)
	if err != nil {
		return t.wrap(ctx, "hint", err)
	}
	_, err = redisconn.DoAt(ctx, t.conn, n, func(ctx context.Context) (int64, error) {
		return n.Client().Publish(ctx, t.names.hints, frame).Result()
	})
	if err != nil {
		return t.wrap(ctx, "hint", t.conn.Explain(n.Server(), err))
	}
	return nil
}

// wrap says where an error comes from; a context's passes untouched.
func (t *transport) wrap(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("redisbus: %s: %w", op, err)
}

// Receive implements invalidation.Transport.
func (t *transport) Receive(ctx context.Context) (invalidation.Delivery, error) {
	return t.inbox.Receive(ctx)
}

// Reconnect implements invalidation.Transport. Closing a subscription that is about to dial would wait for the dial, and the
// bus must not: so it is closed aside, and the pump finds out.
func (t *transport) Reconnect() {
	t.mu.Lock()
	all := t.listening
	t.listening = nil
	t.mu.Unlock()
	for _, l := range all {
		t.closing.Go(func() { _ = l.sub.Close() }) // ends within a dial's timeout; Close joins it
	}
}

// follow ends the subscription if it is at another server than n, which owns the log now. On an old one it would hear nothing,
// or what nobody else hears.
func (t *transport) follow(n *redisconn.Node) {
	t.mu.Lock()
	elsewhere := slices.ContainsFunc(t.listening, func(l *listener) bool { return l.node != n })
	t.mu.Unlock()
	if elsewhere {
		t.Reconnect()
	}
}

// Close implements invalidation.Transport.
func (t *transport) Close() error {
	t.once.Do(func() {
		t.cancel()
		t.Reconnect()
		<-t.pumped
		t.closing.Wait()
		if t.owned {
			t.err = t.conn.Close()
		}
	})
	return t.err
}
