package invalidation

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Attachment is one cache on a bus. Safe for concurrent use.
type Attachment struct {
	bus          *Bus
	name         string
	fingerprint  string
	maxStaleness time.Duration
	handler      Handler
	closed       atomic.Bool

	// mismatched remembers what was reported, for the receive goroutine alone.
	mismatched map[mismatch]bool
}

type mismatch struct {
	node   NodeID
	theirs string
}

// Announce appends messages to the log and returns when the transport has acknowledged them, with a position at or past
// theirs. Announcements that queue while one is being published travel together; an idle bus publishes at once.
//
// On an error the outcome is unknown: the messages may be in the log all the same, or get there later. A ctx that ends
// stops the waiting, at once, and not the announcement. Cache and Node of the messages are filled in; no messages at all
// announce nothing and return Position.
func (a *Attachment) Announce(ctx context.Context, messages ...Message) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if len(messages) == 0 {
		return a.Position(), nil
	}
	named, err := a.named(messages)
	if err != nil {
		return Position{}, err
	}
	return a.bus.announce(ctx, named)
}

// named returns messages as this cache's, if they may be announced.
func (a *Attachment) named(messages []Message) ([]Message, error) {
	named := make([]Message, len(messages))
	keys := 0
	for i, m := range messages {
		if err := m.validate(); err != nil {
			return nil, err
		}
		if keys += len(m.Keys); keys > MaxKeys {
			return nil, fmt.Errorf("invalidation: more than %d keys: announce in parts, or a clear: %w", MaxKeys, ErrTooLarge)
		}
		m.Cache, m.Node = a.name, a.bus.node
		named[i] = m
	}
	if a.closed.Load() {
		return nil, fmt.Errorf("invalidation: announce for %q: %w", a.name, ErrClosed)
	}
	return named, nil
}

// Position is up to where this node has applied the log without a gap. An entry that is about to be loaded remembers it:
// what was announced before was heard.
func (a *Attachment) Position() Position { return a.bus.Position() }

// Node is the identity of the bus.
func (a *Attachment) Node() NodeID { return a.bus.node }

// Close detaches the cache; its name can then be attached anew. When it returns, the handler is not called any more, so a
// handler must not call it. Idempotent. It leaves the bus open.
func (a *Attachment) Close() error {
	a.closed.Store(true)
	a.bus.remove(a)
	a.bus.dispatch.Lock() // waits for a call under way
	defer a.bus.dispatch.Unlock()
	return nil
}
