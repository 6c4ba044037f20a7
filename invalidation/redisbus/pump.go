package redisbus

import (
	"fmt"
	"slices"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

const (
	// deliveryQueue is how many deliveries may wait for the bus. When it is full the pump stops reading, the server's output
	// buffer fills, and the server closes the connection: a new subscription, whose head says what is missing. Nothing is dropped
	// in silence.
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
		t.inbox.Fail(fmt.Errorf("redisbus: subscribe: %w", err))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-t.ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
}

// subscription lives through one subscription, and those that follow it without a gap. It reports whether that came about,
// and why it ended.
func (t *transport) subscription() (subscribed bool, err error) {
	l, head, err := t.listen()
	if err != nil {
		return false, err
	}
	defer func() { t.hangUp(l) }()
	l.last = head
	t.inbox.Deliver(invalidation.Delivery{Kind: invalidation.Subscribed, Position: head})
	for {
		// Without a timeout: one that fires within a message leaves the rest of it in the connection, to be taken for the
		// next. Silence is noticed by the bus, from its heartbeats, and ended by Reconnect.
		if err := l.hear(0); err != nil {
			return true, err
		}
		if max := t.conn.MaxAge(); max > 0 && time.Since(l.since) > max {
			next, err := t.succeed(l)
			if err != nil {
				return true, err
			}
			l = next
		}
	}
}

// listen subscribes at the server that owns the log, and reads its head there.
func (t *transport) listen() (*listener, invalidation.Position, error) {
	n, err := t.conn.Primary(t.ctx, t.names.log)
	if err != nil {
		return nil, invalidation.Position{}, err
	}
	l := newListener(t, n)
	t.mu.Lock()
	t.listening = append(t.listening, l)
	t.mu.Unlock()
	err = l.begin()
	var head invalidation.Position
	if err == nil {
		// The head is read after the server confirmed the subscription: what is published from here on comes by it. What
		// was published in between comes too, at or below the head, and the bus ignores it.
		head, err = t.head(t.ctx, n)
	}
	if err != nil {
		t.hangUp(l)
		return nil, head, err
	}
	return l, head, nil
}

// succeed makes a subscription that goes on where an old one ends: it begins while that one still hears, and delivers what
// comes after it, and some of what came by that one, which the bus knows. Where that cannot be, or fails, a new one begins as any
// other does, and the bus sees what it missed; so it does where a frame that is none made the old one seem further than it was.
func (t *transport) succeed(old *listener) (*listener, error) {
	next, head, err := t.listen()
	if err != nil {
		return nil, err
	}
	for old.last.Incarnation == head.Incarnation && old.last.N < head.N {
		if err := old.hear(t.conn.Timeout()); err != nil {
			t.hangUp(next)
			return nil, err
		}
	}
	next.last = old.last
	if old.last.Incarnation != head.Incarnation {
		next.last = head
		t.inbox.Deliver(invalidation.Delivery{Kind: invalidation.Subscribed, Position: head})
	}
	t.hangUp(old)
	return next, nil
}

// hangUp ends a subscription for good.
func (t *transport) hangUp(l *listener) {
	_ = l.sub.Close() // a second Close does nothing
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listening = slices.DeleteFunc(t.listening, func(o *listener) bool { return o == l })
}
