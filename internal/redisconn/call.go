package redisconn

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Call runs fn, which issues commands through Client with the context it is given, and classifies its error. It returns
// within Timeout, and at once when ctx ends, with the context's own error. Then fn may still be running: its command may
// take effect later (the outcome is unknown), and the caller must not read what fn writes; Do has no such trap. fn itself
// ends within about Timeout. A ctx that had ended before the call runs nothing.
func (c *Conn) Call(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := Do(ctx, c, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// Do is Call for a function with a result. The result of a call that was left behind is dropped, never shared.
func Do[T any](ctx context.Context, c *Conn, fn func(ctx context.Context) (T, error)) (T, error) {
	return do(ctx, c, c.target.server, fn)
}

// DoAt is Do for commands to one node, which errors then name.
func DoAt[T any](ctx context.Context, c *Conn, n *Node, fn func(ctx context.Context) (T, error)) (T, error) {
	return do(ctx, c, n.Server, fn)
}

func do[T any](ctx context.Context, c *Conn, server func() string, fn func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := c.begin(); err != nil {
		return none, err
	}
	timed, cancel := context.WithTimeout(ctx, c.Timeout())

	if ctx.Done() == nil && c.target.opts.Credentials == nil {
		// Nobody can cancel, and the library obeys the deadline by itself. A user's function may not.
		defer c.calls.Done()
		defer cancel()
		value, err := fn(timed)
		return value, c.classify(ctx, server, err)
	}

	type result struct {
		value T
		err   error
	}
	finished := make(chan result, 1)
	// The goroutine ends with fn, which the deadline ends; c.calls joins it in Close.
	go func() {
		defer c.calls.Done()
		defer cancel()
		deepen(0)
		value, err := fn(timed)
		finished <- result{value, err}
	}()
	select {
	case r := <-finished:
		return r.value, c.classify(ctx, server, r.err)
	case <-timed.Done():
	}
	// Both may be ready: an answer that is there is worth more than an unknown outcome.
	select {
	case r := <-finished:
		return r.value, c.classify(ctx, server, r.err)
	default:
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return none, fmt.Errorf("redisconn: %s: no answer within %v: %w", server(), c.Timeout(), sentinel.ErrUnavailable)
}

// deepen makes the stack of a new goroutine as large as a command needs while nothing is on it. Where it grows below all the
// library's calls, a sixth of a command's time goes into copying it.
//
//go:noinline
func deepen(at int) byte {
	var frame [stackOfCommand]byte // an index that is not known keeps it from being optimized away
	frame[at] = 1
	return frame[stackOfCommand-1-at]
}

const stackOfCommand = 6 << 10

// Failed classifies the error of something that a node's client did outside of DoAt, such as a subscription.
func (c *Conn) Failed(n *Node, err error) error {
	if c.nodes.failed != nil {
		watch(c.nodes.failed).saw(err)
	}
	return c.Explain(n.server, c.classify(context.Background(), n.Server, err))
}

// classify is Classify with the caller's context: the library reports a deadline that passed on the wire as an i/o timeout,
// and our own deadline, which is a matter of the server, as the context's.
func (c *Conn) classify(ctx context.Context, server func() string, err error) error {
	if err == nil {
		return nil
	}
	switch classOf(err) {
	case answered:
		return err
	case closedClient:
		if c.isClosed() {
			return Classify(err)
		}
		// Else it was closed because it is a server's that is not asked any more.
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded // the socket noticed before the context's timer fired
	}
	return &unavailableError{server: server(), cause: err}
}
