package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// A Store is a remote tier. Its methods are safe for concurrent use, also with Close.
//
// Keys are any bytes of any length: see the package documentation for how they are stored.
type Store struct {
	drv   driver.Driver
	space string // how all keys begin, escaped
	root  bool   // owns drv

	// of With
	observer Observer // nil for none
	server   string   // for the observer
	timeout  *timeoutError
}

// New makes a Store of a driver, which it owns from then on. Applications call a backend's Open or New instead.
func New(d driver.Driver) *Store { return &Store{drv: d, root: true} }

// Prefix returns a view of s in a key space of its own, such as a tenant's: no key of one space can reach another, not even
// that of the space around it, whatever their bytes. Only listing or deleting all of a space, by the empty prefix, covers
// the spaces within it, so that a tenant goes in one call. Closing the view does nothing; close s.
func (s *Store) Prefix(name string) *Store {
	view := *s
	view.space, view.root = spaceWithin(s.space, name), false
	return &view
}

// Key returns what key is called behind all views and escapes: the name under which the driver knows it. Two keys of one
// backend, in whatever key spaces, have the same name only if they are the same key, and it is the same in all processes.
// So it is what a record can be bound to, as encryption does with its associated data.
func (s *Store) Key(key string) string { return escape(s.space, key) }

// Get returns one result for each key, in order, nil records for what is not there or has expired. It costs one round trip for
// each server that owns some of the keys. Duplicate keys are asked for once and share their bytes; otherwise the
// records belong to the caller.
func (s *Store) Get(ctx context.Context, keys ...string) []driver.Result {
	if len(keys) == 0 {
		return nil
	}
	return s.read(ctx, OpGet, keys, s.drv.Get)
}

func (s *Store) read(ctx context.Context, name Operation, keys []string, from func(context.Context, []string) []driver.Result) []driver.Result {
	ctx, sp := s.begin(ctx, Call{Operation: name, Keys: len(keys)})
	results := s.get(ctx, keys, from)
	var r Result
	now := time.Now()
	for i := range results {
		found := &results[i]
		found.Err = sp.err(found.Err)
		found.Record = record.Live(found.Record, now)
		r.Bytes += len(found.Record)
		switch {
		case found.Err != nil:
			r.Failed++
			if r.Err == nil {
				r.Err = found.Err
			}
		case found.Record == nil:
			r.Misses++
		default:
			r.Hits++
		}
	}
	sp.end(r)
	return results
}

func (s *Store) get(ctx context.Context, keys []string, from func(context.Context, []string) []driver.Result) []driver.Result {
	if len(keys) == 1 {
		return from(ctx, []string{s.Key(keys[0])})
	}
	first := make(map[string]int, len(keys))
	distinct := make([]string, 0, len(keys))
	at := make([]int, len(keys))
	for i, key := range keys {
		k := s.Key(key)
		j, ok := first[k]
		if !ok {
			j = len(distinct)
			first[k] = j
			distinct = append(distinct, k)
		}
		at[i] = j
	}
	found := from(ctx, distinct)
	if len(distinct) == len(keys) {
		return found
	}
	results := make([]driver.Result, len(keys))
	for i, j := range at {
		results[i] = found[j]
	}
	return results
}

// Write applies each op by itself and returns its effect, in order. It fills what a driver may rely on (Fresh), and
// refuses what no server should see: a record that is none or too large, a TTL that is not positive, a zero token.
func (s *Store) Write(ctx context.Context, ops ...driver.Op) []driver.Effect {
	if len(ops) == 0 {
		return nil
	}
	var call Call
	if s.observer != nil {
		call = observedWrite(OpWrite, ops)
	}
	ctx, sp := s.begin(ctx, call)
	effects := s.write(ctx, ops)
	for i := range effects {
		effects[i].Err = sp.err(effects[i].Err)
	}
	sp.end(outcomeOf(effects))
	return effects
}

func (s *Store) write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	send := make([]driver.Op, 0, len(ops))
	at := make([]int, 0, len(ops))
	for i, op := range ops {
		if err := s.check(op); err != nil {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
			continue
		}
		send = append(send, s.prepared(op))
		at = append(at, i)
	}
	if len(send) > 0 {
		for i, e := range s.drv.Write(ctx, send) {
			effects[at[i]] = e
		}
	}
	return effects
}

// WriteWith applies ops and then runs riders, in one round trip, or answers ErrUnsupported: then take two steps. It is for package
// tier.
func (s *Store) WriteWith(ctx context.Context, ops []driver.Op, riders ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	var call Call
	if s.observer != nil {
		call = observedWrite(OpWriteWith, ops)
	}
	ctx, sp := s.begin(ctx, call)
	effects, replies, err := s.writeWith(ctx, ops, riders)
	err = sp.err(err)
	for i := range effects {
		effects[i].Err = sp.err(effects[i].Err)
	}
	r := outcomeOf(effects)
	if err != nil {
		r.Err = err
	}
	sp.end(r)
	return effects, replies, err
}

func (s *Store) writeWith(ctx context.Context, ops []driver.Op, riders []driver.Rider) ([]driver.Effect, [][]byte, error) {
	w, ok := driver.As[driver.RiderWriter](s.drv)
	if !ok {
		return nil, nil, s.unsupported("riders")
	}
	send := make([]driver.Op, len(ops))
	for i, op := range ops {
		if err := s.check(op); err != nil {
			return nil, nil, err
		}
		send[i] = s.prepared(op)
	}
	return w.WriteWith(ctx, send, riders...)
}

func (s *Store) check(op driver.Op) error {
	switch op.Verb {
	case record.Add, record.Swap:
		if _, _, ok := record.Parse(op.Record); !ok {
			return fmt.Errorf("backend: %v: %d bytes are not a record", op.Verb, len(op.Record))
		}
		if l, ok := driver.As[driver.Limiter](s.drv); ok && len(op.Record) > l.MaxRecord() {
			return fmt.Errorf("backend: a record of %d bytes, and %v stores %d: %w", len(op.Record), s.drv, l.MaxRecord(), ErrTooLarge)
		}
	case record.Remove, record.Place, record.Leave, record.Delete, record.Renew:
	default:
		return fmt.Errorf("backend: verb %d is none", op.Verb)
	}
	switch op.Verb {
	case record.Add, record.Swap, record.Place, record.Renew:
		if op.TTL < time.Millisecond {
			return fmt.Errorf("backend: %v: TTL %v: must be at least 1ms", op.Verb, op.TTL)
		}
	}
	if op.Expect.IsZero() && op.Verb != record.Add && op.Verb != record.Delete {
		return fmt.Errorf("backend: %v: the zero token names no record", op.Verb)
	}
	return nil
}

func (s *Store) prepared(op driver.Op) driver.Op {
	op.Key = s.Key(op.Key)
	switch op.Verb {
	case record.Place, record.Leave, record.Delete:
		if op.Fresh.IsZero() {
			op.Fresh = record.NewToken()
		}
	}
	return op
}

// Touch makes the value that token names at key live ttl from now on, and reports whether it was there.
func (s *Store) Touch(ctx context.Context, key string, token record.Token, ttl time.Duration) (bool, error) {
	e := s.Write(ctx, driver.Op{Key: key, Step: record.Step{Verb: record.Renew, Expect: token, TTL: ttl}})[0]
	return e.Outcome == driver.Done, e.Err
}

// Ping makes one round trip to every server, and names those that failed.
func (s *Store) Ping(ctx context.Context) error {
	ctx, sp := s.begin(ctx, Call{Operation: OpPing})
	err := sp.err(s.drv.Ping(ctx))
	sp.end(Result{Err: err})
	return err
}

// As sets *target to the backend's native client, if its documentation lists that type, and reports whether it did.
func (s *Store) As(target any) bool {
	if target == nil {
		return false
	}
	n, ok := driver.As[driver.Native](s.drv)
	return ok && n.As(target)
}

// String names the servers, without any secret.
func (s *Store) String() string { return s.drv.String() }

// Close ends all calls, waits for them and frees what Open made. It is idempotent. On a view by Prefix it does nothing.
func (s *Store) Close() error {
	if !s.root {
		return nil
	}
	return s.drv.Close()
}

func (s *Store) unsupported(what string) error {
	return fmt.Errorf("backend: %v: %s: %w", s.drv, what, ErrUnsupported)
}

// outcomeError turns an effect that was not done into an error.
func outcomeError(e driver.Effect) error {
	switch {
	case e.Err != nil:
		return e.Err
	case e.Outcome == driver.Done, e.Outcome == driver.Refused:
		return nil
	}
	return errors.New("backend: outcome " + e.Outcome.String())
}
