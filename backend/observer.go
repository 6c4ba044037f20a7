package backend

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// An Observer is told of every call of a Store: for metrics, traces and logs. See [Options].
//
// Its methods run on the goroutine of the call, from many at once, so they must not block and must not use the Store.
// Neither keys nor records are among what they see.
type Observer interface {
	// Start is called before anything else happens, and returns the context of the call: ctx, or one made from it.
	Start(ctx context.Context, c Call) context.Context

	// End is called when the call is over, with the context that Start returned.
	End(ctx context.Context, c Call, r Result)
}

// An Operation is a method of Store, named as in metrics.
type Operation string

const (
	OpGet          Operation = "get"
	OpGetStale     Operation = "get_stale"
	OpWrite        Operation = "write"
	OpWriteWith    Operation = "write_with"
	OpCount        Operation = "count"
	OpScan         Operation = "scan"
	OpDeletePrefix Operation = "delete_prefix"
	OpStats        Operation = "stats"
	OpPing         Operation = "ping"
)

// A Call is what an Observer may know of a call beforehand.
type Call struct {
	Operation Operation
	Verb      record.Verb // of a write whose ops all have it, else 0
	Server    string      // Store.String: no secret in it, and the same for all calls
	Keys      int         // how many keys or ops were given
	Bytes     int         // of the records to be written
}

// A Result is what became of a call.
//
// A key where nothing is is a miss, and an op that found something else is refused: neither is a failure.
type Result struct {
	Duration time.Duration

	Hits   int // keys with a record, of a read; keys listed, of Scan
	Misses int // keys with none, or an expired one, of a read
	Failed int // keys whose server failed, of a read
	Bytes  int // of the records received, those of refused ops too

	Outcomes [4]int // how many ops had which outcome: Outcomes[driver.Done] were done

	Err       error  // the first, nil for none: some keys or ops may be well all the same
	ErrorType string // its class, one of few; empty for none
}

// errorTypes are the classes of errors, the first that fits.
var errorTypes = []struct {
	err  error
	name string
}{
	{ErrClosed, "closed"},
	{ErrUnsupported, "unsupported"},
	{ErrTooLarge, "too_large"},
	{ErrDenied, "denied"}, // may be unavailable, too
	{ErrUnavailable, "unavailable"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "deadline_exceeded"},
}

func errorType(err error) string {
	if err == nil {
		return ""
	}
	for _, t := range errorTypes {
		if errors.Is(err, t.err) {
			return t.name
		}
	}
	return "other"
}

// outcomeOf fills in what an observer sees of effects.
func outcomeOf(effects []driver.Effect) (r Result) {
	for _, e := range effects {
		if int(e.Outcome) < len(r.Outcomes) {
			r.Outcomes[e.Outcome]++
		}
		r.Bytes += len(e.Found)
		if r.Err == nil {
			r.Err = e.Err
		}
	}
	return r
}

// observedWrite is the call that an observer sees of ops.
func observedWrite(name Operation, ops []driver.Op) Call {
	c := Call{Operation: name, Keys: len(ops)}
	for i, op := range ops {
		c.Bytes += len(op.Record)
		if i == 0 {
			c.Verb = op.Verb
		} else if c.Verb != op.Verb {
			c.Verb = 0
		}
	}
	return c
}

// observers are two, of which the inner sees the context of the outer, and each gets its own back.
type observers struct{ outer, inner Observer }

type bothContexts struct {
	context.Context // of inner
	outer           context.Context
}

func (o observers) Start(ctx context.Context, c Call) context.Context {
	outer := o.outer.Start(ctx, c)
	return &bothContexts{Context: o.inner.Start(outer, c), outer: outer}
}

func (o observers) End(ctx context.Context, c Call, r Result) {
	both := ctx.(*bothContexts) // as Start returned it
	o.inner.End(both.Context, c, r)
	o.outer.End(both.outer, c, r)
}
