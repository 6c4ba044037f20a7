package invalidation

import (
	"context"
	"fmt"
)

// A Rider is an announcement that travels with somebody else's write to the same server: right behind it, in one round trip. Only
// the transport that made it and the store's driver know what it is.
type Rider interface {
	// Server identifies the server for which it was made.
	Server() string
}

// Rideable is an optional ability of a [Transport]: to have frames published by who writes to the same server.
type Rideable interface {
	// Rider returns what publishes the frames as Publish does, once, when it is run at the server after a write; or
	// ErrUnsupported.
	Rider(ctx context.Context, frames [][]byte) (Rider, error)

	// Rode reads the server's reply to a Rider: the position of the last frame.
	Rode(reply []byte) (Position, error)
}

// A Ride is an announcement that rides.
type Ride struct {
	Rider
	bus              *Bus
	messages, frames int
}

// Ride makes an announcement of messages that rides, as Announce would send it, or answers ErrUnsupported: where the transport cannot,
// and on a bus that signs. It is announced when Done says so.
func (a *Attachment) Ride(ctx context.Context, messages ...Message) (*Ride, error) {
	t, ok := a.bus.transport.(Rideable)
	if !ok || a.bus.signer.ring != nil || len(messages) == 0 {
		return nil, fmt.Errorf("invalidation: a ride: %w", ErrUnsupported)
	}
	named, err := a.named(messages)
	if err != nil {
		return nil, err
	}
	p := packer{node: a.bus.node}
	for _, m := range named {
		p.add(m)
	}
	p.flush()
	size := 0
	for _, f := range p.frames {
		size += len(f)
	}
	if size > MaxAnnouncement {
		return nil, fmt.Errorf("invalidation: a ride of %d bytes: %w", size, ErrTooLarge)
	}
	rider, err := t.Rider(ctx, allSummed(p.frames))
	if err != nil {
		return nil, err
	}
	return &Ride{Rider: rider, bus: a.bus, messages: len(named), frames: len(p.frames)}, nil
}

// Done takes the server's reply, nil for none, and returns the position at or past that of the messages. On an error the
// outcome is unknown, as with Announce.
func (r *Ride) Done(reply []byte) (Position, error) {
	if reply == nil {
		return Position{}, fmt.Errorf("invalidation: a ride without an answer: %w", ErrUnavailable)
	}
	p, err := r.bus.transport.(Rideable).Rode(reply)
	if err != nil {
		return Position{}, err
	}
	r.bus.count.announced.Add(uint64(r.messages))
	r.bus.count.published.Add(uint64(r.frames))
	r.bus.nodes.published(p)
	return p, nil
}
