// Package inbox is what lies between a transport's goroutines, which hear the server, and its Receive, which the bus calls.
package inbox

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
)

// An Inbox holds deliveries, and errors between them, in the order in which they came. All its methods may be called at any time.
type Inbox struct {
	name   string
	queue  chan received
	closed <-chan struct{}
}

type received struct {
	delivery invalidation.Delivery
	err      error
}

// New returns an inbox with room for so many. It ends with the transport's context; name is the transport's, for errors.
func New(transport context.Context, name string, room int) Inbox {
	return Inbox{name: name, queue: make(chan received, room), closed: transport.Done()}
}

// Deliver hands a delivery over, waiting for room.
func (b *Inbox) Deliver(d invalidation.Delivery) { b.put(received{delivery: d}) }

// Fail hands an error over, waiting for room.
func (b *Inbox) Fail(err error) { b.put(received{err: err}) }

func (b *Inbox) put(r received) {
	select {
	case b.queue <- r:
	case <-b.closed:
	}
}

// Hint hands a hint over if there is room: it may be lost.
func (b *Inbox) Hint(frame []byte) {
	select {
	case b.queue <- received{delivery: invalidation.Delivery{Kind: invalidation.Hint, Frame: frame}}:
	default:
	}
}

// Full reports whether there is no room.
func (b *Inbox) Full() bool { return len(b.queue) == cap(b.queue) }

// Receive implements invalidation.Transport.
func (b *Inbox) Receive(ctx context.Context) (invalidation.Delivery, error) {
	select {
	case r := <-b.queue:
		return r.delivery, r.err
	case <-ctx.Done():
		return invalidation.Delivery{}, ctx.Err()
	case <-b.closed:
		return invalidation.Delivery{}, fmt.Errorf("%s: receive: %w", b.name, invalidation.ErrClosed)
	}
}
