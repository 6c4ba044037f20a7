package redisbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// A listener is a subscription at one server. The pump reads it; whoever closes sub ends it.
type listener struct {
	t     *transport
	node  *redisconn.Node
	sub   *redis.PubSub
	since time.Time             // when it began
	last  invalidation.Position // of the last frame that was delivered, if it says the truth
}

func newListener(t *transport, n *redisconn.Node) *listener {
	// The subscription is to nothing yet: it dials at the first command.
	return &listener{t: t, node: n, sub: n.Client().Subscribe(t.ctx), since: time.Now()}
}

// begin subscribes to both channels and waits until the server has confirmed both.
func (l *listener) begin() error {
	ctx, cancel := context.WithTimeout(l.t.ctx, 2*l.t.conn.Timeout()) // dialling, then the answer
	defer cancel()
	if err := l.sub.Subscribe(ctx, l.t.names.frames, l.t.names.hints); err != nil {
		return l.t.conn.Failed(l.node, err)
	}
	for confirmed := 0; confirmed < 2; {
		message, err := l.receive(ctx, l.t.conn.Timeout())
		if err != nil {
			return l.t.conn.Failed(l.node, err)
		}
		if s, ok := message.(*redis.Subscription); ok && s.Kind == "subscribe" {
			confirmed++
		}
		// A frame that comes before the second confirmation is at or below the head that is read next.
	}
	return nil
}

// receive returns the next message. One that is not as the library expects, such as a shorter list, makes the library panic: it is
// an error here, and ends the subscription. The library holds no lock then.
func (l *listener) receive(ctx context.Context, timeout time.Duration) (message any, err error) {
	defer func() {
		if p := recover(); p != nil {
			message, err = nil, fmt.Errorf("redisbus: a message that no server sends: %v: %w", p, invalidation.ErrUnavailable)
		}
	}()
	return l.sub.ReceiveTimeout(ctx, timeout)
}

// hear delivers the next message; a timeout of 0 is none.
func (l *listener) hear(timeout time.Duration) error {
	message, err := l.receive(l.t.ctx, timeout)
	if err != nil {
		return l.t.conn.Failed(l.node, err)
	}
	m, ok := message.(*redis.Message)
	if !ok {
		return errReplaced // another confirmation: the library has replaced the connection by itself
	}
	kind, p, frame := l.read(m)
	switch {
	case kind == 0:
		return nil
	case kind == invalidation.Frame:
		l.last = p // as it says: what a stranger publishes may say anything, and is for the bus to judge
	}
	l.t.inbox.Deliver(invalidation.Delivery{Kind: kind, Position: p, Frame: frame})
	return nil
}

var errReplaced = errors.New("redisbus: the connection was replaced")

// read takes a message for what it is.
func (l *listener) read(m *redis.Message) (invalidation.Kind, invalidation.Position, []byte) {
	switch m.Channel {
	case l.t.names.hints:
		return invalidation.Hint, invalidation.Position{}, []byte(m.Payload)
	case l.t.names.frames:
		p, frame, err := readPayload(m.Payload)
		if err != nil {
			// Nobody of ours publishes that. As a hint it is unreadable too, and the bus counts it.
			return invalidation.Hint, invalidation.Position{}, []byte(m.Payload)
		}
		return invalidation.Frame, p, frame
	}
	return 0, invalidation.Position{}, nil
}
