package hazelcastconn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/hzerrors"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Repeat says what Do may do after an error.
type Repeat bool

const (
	Once       Repeat = false // repeat the call only if it certainly had no effect
	Repeatable Repeat = true  // the call changes nothing
)

const betweenCalls = 10 * time.Millisecond

// Do calls fn with the map and classifies its error. It returns within Timeout, and at once when ctx ends, with the
// context's own error: then the outcome is unknown. While the cluster changes, it tries again until Timeout. A ctx that had
// ended before the call runs nothing.
func Do[T any](ctx context.Context, c *Conn, r Repeat, fn func(context.Context, *hazelcast.Map) (T, error)) (T, error) {
	return DoWithin(ctx, c, c.Timeout(), r, fn)
}

// DoWithin is Do for what takes longer than Timeout by its nature.
func DoWithin[T any](ctx context.Context, c *Conn, limit time.Duration, r Repeat,
	fn func(context.Context, *hazelcast.Map) (T, error),
) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, notSent(err)
	}
	if err := c.begin(); err != nil {
		return none, err
	}
	defer c.calls.Done()
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		s, err := c.session(timed)
		if err == nil {
			var value T
			if value, err = run(timed, s, fn); err == nil {
				return value, nil
			}
		}
		err = c.classify(ctx, err)
		again := NotSent(err) || bool(r) && errors.Is(err, sentinel.ErrUnavailable) && !isAnswer(err)
		if !again || timed.Err() != nil || errors.Is(err, sentinel.ErrClosed) || refused(err) {
			return none, err
		}
		sleep(timed, betweenCalls)
		if timed.Err() != nil {
			if cause := ctx.Err(); cause != nil && !NotSent(err) {
				return none, cause
			}
			return none, err
		}
	}
}

// run calls fn. The library panics where an answer is not made up as it expects.
func run[T any](ctx context.Context, s *session, fn func(context.Context, *hazelcast.Map) (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the answer makes no sense to the client library: %v", p)
		}
	}()
	began := time.Now()
	if value, err = fn(ctx, s.entries); err != nil {
		if cause := s.relay.Failure(began); cause != nil && errors.Is(err, hzerrors.ErrTargetDisconnected) {
			err = &lostError{err, cause}
		}
	}
	return value, err
}

// classify turns an error of the library, or of session, into one of those that the package documentation lists.
func (c *Conn) classify(ctx context.Context, err error) error {
	var waiting *notConnectedError
	switch cause := ctx.Err(); {
	case errors.Is(err, sentinel.ErrClosed):
		return err
	case errors.As(err, &waiting):
		if cause != nil {
			return notSent(cause)
		}
		return err
	case cause != nil:
		return cause
	case c.isClosed():
		return fmt.Errorf("hazelcastconn: %s: the call was ended by Close: %w", c.Server(), sentinel.ErrClosed)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			return context.DeadlineExceeded // the caller's, a moment before its timer fired
		}
		return &unavailableError{server: c.Server(), text: fmt.Sprintf("no answer within %v", c.Timeout())}
	case isAnswer(err):
		return fmt.Errorf("hazelcastconn: %s: %w", c.Server(), &answerError{err})
	}
	return &unavailableError{server: c.Server(), text: firstLines(err.Error()), cause: err}
}
