package fault

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A Driver is a driver that faults befall. It is safe for concurrent use.
type Driver struct {
	inner    driver.Driver
	injector Injector

	closing context.Context // ends with Close, which owns what happens late
	end     context.CancelFunc

	mu      sync.Mutex
	settled sync.Cond // of mu: pending is 0
	pending int       // guarded by mu: what is to happen late
}

var _ driver.All = (*Driver)(nil)

// Wrap returns d with the faults of i. Close closes d.
func Wrap(d driver.Driver, i Injector) *Driver {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Driver{inner: d, injector: i, closing: ctx, end: cancel}
	f.settled.L = &f.mu
	return f
}

// Unwrap returns the driver below, for driver.As: what it cannot do, the Driver cannot either.
func (d *Driver) Unwrap() driver.Driver { return d.inner }

// Settle returns when all that was to happen late has happened, LateUntil and AgainUntil too.
func (d *Driver) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.pending > 0 {
		d.settled.Wait()
	}
}

// Close ends all calls, drops what was to happen late, and closes the driver below.
func (d *Driver) Close() error {
	d.end()
	d.Settle()
	return d.inner.Close()
}

// String names the servers.
func (d *Driver) String() string { return d.inner.String() }

// Get implements driver.Driver.
func (d *Driver) Get(ctx context.Context, keys []string) []driver.Result {
	return d.read(ctx, Get, keys, d.inner.Get)
}

// GetStale implements driver.StaleReader.
func (d *Driver) GetStale(ctx context.Context, keys []string) []driver.Result {
	r, _ := driver.As[driver.StaleReader](d.inner) // is there: see driver.As
	return d.read(ctx, GetStale, keys, r.GetStale)
}

// read reads the keys that no fault keeps from it, in one call.
func (d *Driver) read(ctx context.Context, kind Kind, keys []string, get func(context.Context, []string) []driver.Result) []driver.Result {
	faults := make([]Fault, len(keys))
	send := make([]string, 0, len(keys))
	at := make([]int, 0, len(keys))
	for i, key := range keys {
		faults[i] = d.injector.Inject(Op{kind, key})
		if e := faults[i].effect; e != fail && e != drop && e != late {
			send, at = append(send, key), append(at, i)
		}
	}
	results := make([]driver.Result, len(keys))
	if err := d.wait(ctx, faults...); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	if len(send) > 0 {
		for i, r := range get(ctx, send) {
			results[at[i]] = r
		}
	}
	for i, f := range faults {
		switch f.effect {
		case fail, drop, lose, late:
			results[i] = driver.Result{Err: d.told(f, Op{kind, keys[i]})}
		case lie:
			if results[i].Err == nil {
				results[i].Record = f.lie(keys[i], results[i].Record)
			}
		}
	}
	return results
}

// Write implements driver.Driver.
func (d *Driver) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	faults := make([]Fault, len(ops))
	send := make([]driver.Op, 0, len(ops))
	at := make([]int, 0, len(ops))
	for i, op := range ops {
		faults[i] = d.injector.Inject(Op{kindOf(op.Verb), op.Key})
		if e := faults[i].effect; e != fail && e != drop && e != late {
			send, at = append(send, op), append(at, i)
		}
	}
	effects := make([]driver.Effect, len(ops))
	if err := d.wait(ctx, faults...); err != nil {
		for i := range effects {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
		}
		return effects
	}
	if len(send) > 0 {
		for i, e := range d.inner.Write(ctx, send) {
			effects[at[i]] = e
		}
	}
	for i, f := range faults {
		if told := d.told(f, Op{kindOf(ops[i].Verb), ops[i].Key}); told != nil {
			effects[i] = driver.Effect{Outcome: driver.Unknown, Err: told}
		}
		switch f.effect {
		case fail:
			effects[i].Outcome = driver.Unsent
		case late, again:
			op := copied(ops[i])
			d.later(f, func(ctx context.Context) { d.inner.Write(ctx, []driver.Op{op}) })
		}
	}
	return effects
}

// WriteWith implements driver.RiderWriter. The ops and riders are one step: the first fault of an op befalls all of it.
func (d *Driver) WriteWith(ctx context.Context, ops []driver.Op, riders ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	w, _ := driver.As[driver.RiderWriter](d.inner) // is there: see driver.As
	var f Fault
	var befallen Op
	for _, op := range ops {
		befallen = Op{kindOf(op.Verb), op.Key}
		if f = d.injector.Inject(befallen); !f.none() {
			break
		}
	}
	all := func(o driver.Outcome, err error) ([]driver.Effect, [][]byte, error) {
		effects := make([]driver.Effect, len(ops))
		for i := range effects {
			effects[i] = driver.Effect{Outcome: o, Err: err}
		}
		return effects, nil, err
	}
	if err := d.wait(ctx, f); err != nil {
		return all(driver.Unsent, err)
	}
	if f.effect == late || f.effect == again {
		later := make([]driver.Op, len(ops))
		for i, op := range ops {
			later[i] = copied(op)
		}
		d.later(f, func(ctx context.Context) { w.WriteWith(ctx, later, riders...) })
	}
	told := d.told(f, befallen)
	switch f.effect {
	case fail:
		return all(driver.Unsent, told)
	case drop, late:
		return all(driver.Unknown, told)
	}
	effects, replies, err := w.WriteWith(ctx, ops, riders...)
	if told != nil {
		return all(driver.Unknown, told)
	}
	return effects, replies, err
}

// Count implements driver.Counter.
func (d *Driver) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	c, _ := driver.As[driver.Counter](d.inner) // is there: see driver.As
	var sum int64
	err := d.do(ctx, Op{Count, key}, func(ctx context.Context) (err error) {
		sum, err = c.Count(ctx, key, delta, ttl)
		return err
	}, func(ctx context.Context) { c.Count(ctx, key, delta, ttl) })
	if err != nil {
		sum = 0
	}
	return sum, err
}

// Scan implements driver.Scanner.
func (d *Driver) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	s, _ := driver.As[driver.Scanner](d.inner) // is there: see driver.As
	op := Op{Scan, prefix}
	f := d.injector.Inject(op)
	if err := d.wait(ctx, f); err != nil {
		return err
	}
	told := d.told(f, op)
	if told != nil && f.effect != lose {
		return told
	}
	err := s.Scan(ctx, prefix, func(keys []string) bool { return yield(keys) && told == nil })
	if told != nil {
		return told
	}
	return err
}

// Stats implements driver.Statser.
func (d *Driver) Stats(ctx context.Context) (stats map[string]map[string]string, err error) {
	s, _ := driver.As[driver.Statser](d.inner) // is there: see driver.As
	err = d.do(ctx, Op{Kind: Stats}, func(ctx context.Context) (err error) {
		stats, err = s.Stats(ctx)
		return err
	}, nil)
	if err != nil {
		stats = nil
	}
	return stats, err
}

// Ping implements driver.Driver.
func (d *Driver) Ping(ctx context.Context) error { return d.do(ctx, Op{Kind: Ping}, d.inner.Ping, nil) }

// OnServer implements driver.Identifier. No fault befalls it.
func (d *Driver) OnServer(hook func(server, identity string)) {
	i, _ := driver.As[driver.Identifier](d.inner) // is there: see driver.As
	i.OnServer(hook)
}

// MayRewind implements driver.Rewinder. No fault befalls it.
func (d *Driver) MayRewind() bool {
	r, _ := driver.As[driver.Rewinder](d.inner) // is there: see driver.As
	return r.MayRewind()
}

// MaxRecord implements driver.Limiter. No fault befalls it.
func (d *Driver) MaxRecord() int {
	l, _ := driver.As[driver.Limiter](d.inner) // is there: see driver.As
	return l.MaxRecord()
}

// As implements driver.Native: the client is that of the driver below, and no fault befalls what it does.
func (d *Driver) As(target any) bool {
	n, _ := driver.As[driver.Native](d.inner) // is there: see driver.As
	return n.As(target)
}

// do runs one operation that is not a verb. repeat, if it changes anything, is what may happen late.
func (d *Driver) do(ctx context.Context, op Op, call func(context.Context) error, repeat func(context.Context)) error {
	f := d.injector.Inject(op)
	if err := d.wait(ctx, f); err != nil {
		return err
	}
	if repeat != nil && (f.effect == late || f.effect == again) {
		d.later(f, repeat)
	}
	told := d.told(f, op)
	if told != nil && f.effect != lose {
		return told
	}
	err := call(ctx)
	if told != nil {
		return told
	}
	return err
}

// told returns the error that f makes of op, nil if what happened is told.
func (d *Driver) told(f Fault, op Op) error {
	switch f.effect {
	case fail, drop, lose, late:
		return f.caller(op)
	}
	return nil
}

// wait waits as long as the longest delay says, and for everything that holds.
func (d *Driver) wait(ctx context.Context, faults ...Fault) error {
	if d.closing.Err() != nil {
		return errClosed
	}
	var longest time.Duration
	for _, f := range faults {
		longest = max(longest, f.delay)
		if f.hold == nil {
			continue
		}
		if err := await(ctx, d.closing, f.hold); err != nil {
			return err
		}
	}
	if longest == 0 {
		return nil
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	return await(ctx, d.closing, timer.C)
}

// later lets do happen when f says, unless d is closed before.
func (d *Driver) later(f Fault, do func(ctx context.Context)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing.Err() != nil {
		return // else Close might not wait for it
	}
	d.pending++
	go func() { // ends with Close, which waits for it, or when it has happened
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.pending--; d.pending == 0 {
				d.settled.Broadcast()
			}
		}()
		var err error
		if f.until != nil {
			err = await(d.closing, d.closing, f.until)
		} else {
			timer := time.NewTimer(f.later)
			defer timer.Stop()
			err = await(d.closing, d.closing, timer.C)
		}
		if err == nil {
			do(d.closing)
		}
	}()
}

var errClosed = fmt.Errorf("fault: %w", sentinel.ErrClosed)

// await waits for c, ctx or the end of closing.
func await[T any](ctx, closing context.Context, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-closing.Done():
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// copied returns op with a record of its own: the caller's may change before op happens again.
func copied(op driver.Op) driver.Op {
	op.Record = bytes.Clone(op.Record)
	return op
}
