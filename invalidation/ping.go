package invalidation

import (
	"context"
	"fmt"
)

// Ping reports whether what this node announces is heard: it appends a heartbeat to the log and returns nil when that one, or a
// later one, has come back. It waits for the subscription, so ctx should have a deadline. A server that does not take the
// heartbeat is an error at once, ErrUnavailable if it cannot be reached.
func (b *Bus) Ping(ctx context.Context) (err error) {
	ctx, leave, err := b.enter(ctx, "ping")
	if err != nil {
		return err
	}
	defer leave(&err)
	echo, stop := b.echoes.watch(anyEcho)
	defer stop()
	number, _, err := b.beat(ctx)
	if err != nil {
		return err
	}
	for !b.beats.cameBack(number) {
		select {
		case <-echo:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Head returns where the log is: it appends a heartbeat and tells its position. What was announced before Head was called is
// before it, whether this node has heard it or not.
func (b *Bus) Head(ctx context.Context) (p Position, err error) {
	ctx, leave, err := b.enter(ctx, "head")
	if err != nil {
		return Position{}, err
	}
	defer leave(&err)
	_, p, err = b.beat(ctx)
	return p, err
}

// anyEcho is the topic of all heartbeats that come back, and of those of other nodes.
const anyEcho = ""

// enter begins a caller's use of the transport. The context that it returns also ends when the bus closes, and Close waits for
// leave, which names what was done in an error and leaves the error of the caller's own context as it is.
func (b *Bus) enter(caller context.Context, what string) (ctx context.Context, leave func(err *error), err error) {
	if err := caller.Err(); err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, fmt.Errorf("invalidation: %s: %w", what, ErrClosed)
	}
	b.work.Add(1) // before Close waits: closed is not set yet
	ctx, cancel := context.WithCancel(caller)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func(err *error) {
		defer b.work.Done()
		defer cancel()
		stop()
		switch {
		case *err == nil, caller.Err() != nil:
		case b.ctx.Err() != nil:
			*err = fmt.Errorf("invalidation: %s: %w", what, ErrClosed)
		default:
			*err = fmt.Errorf("invalidation: %s: %w", what, *err)
		}
	}, nil
}
