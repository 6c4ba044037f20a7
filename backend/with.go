package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/sentinel"
)

// Options are what [Store.With] adds. The zero value adds nothing.
type Options struct {
	// Timeout bounds each call, below the driver's own timeout if it is to matter. A call that takes longer fails with
	// ErrUnavailable, naming the servers and the limit, and what it sent has an unknown outcome. Of Scan and
	// DeletePrefix it bounds each step, not the whole. A context that ends first is reported as it is. Default none,
	// for 0 and less; of several the shortest counts.
	Timeout time.Duration

	// Observer is told of every call, after those that the Store has already. Default none.
	Observer Observer

	// Decorate wraps the driver, so that it sees each call as the server would: with stored keys, within the timeout.
	// Its result owns the driver that it is given. [driver.As] says which capabilities it then has. Default none.
	Decorate func(driver.Driver) driver.Driver
}

// With returns s with more around its calls: a decorated Store on the same servers, through which every call has the
// same meaning and the same capabilities. Nil options are none. It takes the place of s: closing either closes both, if
// s is no view by Prefix.
func (s *Store) With(o *Options) *Store {
	if o == nil {
		o = &Options{}
	}
	d := *s
	if o.Decorate != nil {
		d.drv = o.Decorate(s.drv)
	}
	if o.Observer != nil {
		d.server = d.drv.String()
		d.observer = o.Observer
		if s.observer != nil {
			d.observer = observers{outer: s.observer, inner: o.Observer}
		}
	}
	if o.Timeout > 0 && (s.timeout == nil || o.Timeout < s.timeout.limit) {
		d.timeout = &timeoutError{server: d.drv, limit: o.Timeout}
	}
	return &d
}

// timeoutError is a timeout of With: the cause with which it ends a call's context, and the error that the call then has. It
// is no context's error, since none of the caller's ended.
type timeoutError struct {
	server fmt.Stringer
	limit  time.Duration
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("backend: %v: no answer within %v: %v", e.server, e.limit, sentinel.ErrUnavailable)
}

func (e *timeoutError) Unwrap() error { return sentinel.ErrUnavailable }

// A span is one call from beginning to end. It is a value so that a call which nobody observes costs no allocation.
type span struct {
	store    *Store
	call     Call
	observed context.Context // for the observer, nil without
	began    time.Time

	limit limit // zero without a timeout
}

// begin begins a call with one step. It returns the context for the driver.
func (s *Store) begin(ctx context.Context, call Call) (context.Context, span) {
	ctx, sp := s.beginSteps(ctx, call)
	ctx, sp.limit = s.limited(ctx)
	return ctx, sp
}

// beginSteps begins a call of several steps, which limit themselves.
func (s *Store) beginSteps(ctx context.Context, call Call) (context.Context, span) {
	sp := span{store: s}
	if s.observer != nil {
		call.Server = s.server
		sp.call, sp.began = call, time.Now()
		ctx = s.observer.Start(ctx, call)
		sp.observed = ctx
	}
	return ctx, sp
}

// err returns what the caller is told of an error of the driver.
func (sp *span) err(err error) error { return sp.limit.err(err) }

// end tells the observer. Without one, r need not be filled.
func (sp *span) end(r Result) {
	sp.limit.release()
	if sp.observed != nil {
		r.Duration = time.Since(sp.began)
		r.ErrorType = errorType(r.Err)
		sp.store.observer.End(sp.observed, sp.call, r)
	}
}

// A limit is the timeout of one call or step. The zero limit is none.
type limit struct {
	ctx      context.Context // for the driver
	cancel   context.CancelFunc
	timeout  *timeoutError
	deadline bool // of ctx is that of timeout, not an earlier one of the caller
}

// limited returns the context in which a driver has to answer, and its limit, to be released.
func (s *Store) limited(ctx context.Context) (context.Context, limit) {
	if s.timeout == nil {
		return ctx, limit{}
	}
	theirs, bounded := ctx.Deadline()
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout.limit, s.timeout)
	ours, _ := ctx.Deadline()
	return ctx, limit{ctx: ctx, cancel: cancel, timeout: s.timeout, deadline: !bounded || ours.Before(theirs)}
}

func (l *limit) release() {
	if l.cancel != nil {
		l.cancel()
	}
}

// err returns the timeout in place of an error that says no more than that it ended the context.
func (l *limit) err(err error) error {
	if err == nil || l.timeout == nil {
		return err
	}
	switch late := errors.Is(err, context.DeadlineExceeded); {
	case !late && !errors.Is(err, context.Canceled):
		return err
	case context.Cause(l.ctx) == error(l.timeout):
		return l.timeout
	case late && l.deadline && l.ctx.Err() == nil:
		return l.timeout // a socket had the deadline too, and was faster than the context
	}
	return err
}

// resting makes yield stop the timeout of a scan while it runs: only the server's time counts. It returns the context
// of the scan, and what turns its error into the caller's and ends it.
func (s *Store) resting(ctx context.Context, yield func([]string) bool) (context.Context, func([]string) bool, func(error) error) {
	if s.timeout == nil {
		return ctx, yield, func(err error) error { return err }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l := limit{ctx: ctx, timeout: s.timeout}
	timer := time.AfterFunc(s.timeout.limit, func() { cancel(s.timeout) })
	step := func(keys []string) bool {
		timer.Stop() // if it is too late, the scan ends after this step
		defer timer.Reset(s.timeout.limit)
		return yield(keys)
	}
	end := func(err error) error {
		timer.Stop()
		err = l.err(err)
		cancel(nil)
		return err
	}
	return ctx, step, end
}
