package redisbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/invalidation"
)

const (
	// deliveryQueue is how many deliveries may wait for the bus. When it is full the pump stops reading, the server's output
	// buffer fills, and the server closes the connection: a new subscription, which flushes. Nothing is dropped in silence.
	deliveryQueue = 256

	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// pump is the goroutine that keeps a subscription and delivers what comes. A subscription that failed is never used again:
// the library would resubscribe by itself, at moments that only it knows.
func (t *transport) pump() {
	defer close(t.pumped)
	pause := firstPause
	for t.ctx.Err() == nil {
		subscribed, err := t.subscription()
		if t.ctx.Err() != nil {
			return
		}
		if subscribed {
			pause = firstPause
			continue // tell nobody: the next Subscribed says it all, and only if that fails there is an error to report
		}
		t.deliver(received{err: fmt.Errorf("redisbus: subscribe: %w", err)})
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-t.ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
}

// deliver hands over, waiting for room.
func (t *transport) deliver(r received) {
	select {
	case t.deliveries <- r:
	case <-t.ctx.Done():
	}
}

// subscription lives through one subscription. It reports whether that came about, and why it ended.
func (t *transport) subscription() (subscribed bool, err error) {
	n, err := t.conn.Primary(t.ctx, t.names.log)
	if err != nil {
		return false, t.conn.Explain(t.conn.Server(), err)
	}
	sub := n.Client().Subscribe(t.ctx) // to nothing yet: it dials at the first command
	t.mu.Lock()
	t.sub, t.at = sub, n
	t.mu.Unlock()
	defer func() { _ = sub.Close() }() // a second Close does nothing

	if err := t.begin(sub); err != nil {
		return false, t.conn.Failed(n, err)
	}
	// The head is read after the server confirmed the subscription: what is published from here on comes by it. What was
	// published in between comes too, at or below the head, and the bus ignores it.
	head, err := t.head(t.ctx, n)
	if err != nil {
		return false, err
	}
	t.deliver(received{delivery: invalidation.Delivery{Kind: invalidation.Subscribed, Position: head}})
	for {
		// Without a timeout: one that fires within a message leaves the rest of it in the connection, to be taken for the
		// next. Silence is noticed by the bus, from its heartbeats, and ended by Reconnect.
		message, err := sub.ReceiveTimeout(t.ctx, 0)
		if err != nil {
			return true, t.conn.Failed(n, err)
		}
		switch m := message.(type) {
		case *redis.Message:
			t.message(m)
		default:
			// Another confirmation: the library has replaced the connection by itself.
			return true, errReplaced
		}
	}
}

var errReplaced = errors.New("redisbus: the connection was replaced")

// begin subscribes to both channels and waits until the server has confirmed both.
func (t *transport) begin(sub *redis.PubSub) error {
	ctx, cancel := context.WithTimeout(t.ctx, 2*t.conn.Timeout()) // dialling, then the answer
	defer cancel()
	if err := sub.Subscribe(ctx, t.names.frames, t.names.hints); err != nil {
		return err
	}
	for confirmed := 0; confirmed < 2; {
		message, err := sub.ReceiveTimeout(ctx, t.conn.Timeout())
		if err != nil {
			return err
		}
		if s, ok := message.(*redis.Subscription); ok && s.Kind == "subscribe" {
			confirmed++
		}
		// A frame that comes before the second confirmation is at or below the head that is read next.
	}
	return nil
}

// message delivers what came through the subscription.
func (t *transport) message(m *redis.Message) {
	switch m.Channel {
	case t.names.hints:
		t.deliver(received{delivery: invalidation.Delivery{Kind: invalidation.Hint, Frame: []byte(m.Payload)}})
	case t.names.frames:
		p, frame, err := readPayload(m.Payload)
		if err != nil {
			// Nobody of ours publishes that. As a hint it is unreadable too, and the bus counts it.
			t.deliver(received{delivery: invalidation.Delivery{Kind: invalidation.Hint, Frame: []byte(m.Payload)}})
			return
		}
		t.deliver(received{delivery: invalidation.Delivery{Kind: invalidation.Frame, Position: p, Frame: frame}})
	}
}
