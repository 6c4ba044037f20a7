package membus

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
)

// transport is one subscription.
type transport struct {
	hub    *Hub
	ready  chan struct{} // there may be something to receive; capacity 1
	closed chan struct{} // closed by Close

	// Guarded by hub.mu.
	fresh bool // the next delivery is Subscribed
	queue []invalidation.Delivery
}

func (t *transport) signal() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// renewLocked begins the subscription anew; hub.mu must be held.
func (t *transport) renewLocked() {
	t.fresh, t.queue = true, nil
	t.signal()
}

// sendLocked queues a delivery; hub.mu must be held.
func (t *transport) sendLocked(d invalidation.Delivery) {
	if t.fresh && d.Kind == invalidation.Frame {
		return // the Subscribed that comes first will carry this head or a later one
	}
	if len(t.queue) >= QueueLength {
		t.renewLocked()
		return
	}
	t.queue = append(t.queue, d)
	t.signal()
}

// Publish implements invalidation.Transport.
func (t *transport) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := t.usableLocked(ctx, "publish"); err != nil {
		return invalidation.Position{}, err
	}
	for _, frame := range frames {
		h.appendLocked(frame)
	}
	return h.head, nil
}

// appendLocked gives a frame the next position and delivers it; h.mu must be held.
func (h *Hub) appendLocked(frame []byte) {
	h.head.N++
	h.recent = append(h.recent, frame)
	h.trimLocked()
	if h.drop > 0 {
		h.drop--
		return
	}
	for l := range h.listeners {
		l.sendLocked(invalidation.Delivery{Kind: invalidation.Frame, Position: h.head, Frame: frame})
	}
}

// Hint implements invalidation.Transport.
func (t *transport) Hint(ctx context.Context, frame []byte) error {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := t.usableLocked(ctx, "hint"); err != nil {
		return err
	}
	for l := range h.listeners {
		l.sendLocked(invalidation.Delivery{Kind: invalidation.Hint, Frame: frame})
	}
	return nil
}

// usableLocked reports why nothing can be done now; hub.mu must be held.
func (t *transport) usableLocked(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.isClosed() {
		return fmt.Errorf("membus: %s: %w", op, invalidation.ErrClosed)
	}
	if t.hub.stopped {
		return fmt.Errorf("membus: %s: the hub is stopped: %w", op, invalidation.ErrUnavailable)
	}
	return nil
}

// Receive implements invalidation.Transport.
func (t *transport) Receive(ctx context.Context) (invalidation.Delivery, error) {
	for {
		d, there, err := t.next(ctx)
		if there || err != nil {
			return d, err
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
		case <-t.closed:
		}
	}
}

// next takes what is there.
func (t *transport) next(ctx context.Context) (d invalidation.Delivery, there bool, err error) {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	if err := t.usableLocked(ctx, "receive"); err != nil {
		return d, false, err
	}
	switch {
	case t.hub.paused:
		return d, false, nil
	case t.fresh:
		t.fresh = false
		return invalidation.Delivery{Kind: invalidation.Subscribed, Position: t.hub.head}, true, nil
	case len(t.queue) > 0:
		d, t.queue = t.queue[0], t.queue[1:]
		return d, true, nil
	}
	return d, false, nil
}

// Reconnect implements invalidation.Transport.
func (t *transport) Reconnect() {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.renewLocked()
}

// Close implements invalidation.Transport.
func (t *transport) Close() error {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	if !t.isClosed() {
		close(t.closed)
	}
	delete(t.hub.listeners, t)
	return nil
}

func (t *transport) isClosed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}
