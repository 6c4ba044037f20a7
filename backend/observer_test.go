package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

// A diary is an observer that remembers what it saw, and marks contexts with its name.
type diary struct {
	name    string
	calls   []backend.Call
	results []backend.Result
	log     *[]string
}

type mark string

func (d *diary) Start(ctx context.Context, c backend.Call) context.Context {
	d.note("start %s within %s", d.name, marks(ctx))
	d.calls = append(d.calls, c)
	return context.WithValue(ctx, mark(d.name), true)
}

func (d *diary) End(ctx context.Context, c backend.Call, r backend.Result) {
	d.note("end %s within %s", d.name, marks(ctx))
	if last := d.calls[len(d.calls)-1]; c != last {
		panic(fmt.Sprintf("End of %v, and Start was of %v", c, last))
	}
	d.results = append(d.results, r)
}

func (d *diary) note(format string, args ...any) {
	if d.log != nil {
		*d.log = append(*d.log, fmt.Sprintf(format, args...))
	}
}

// last forgets all and returns the one call that was seen.
func (d *diary) last(t *testing.T) (backend.Call, backend.Result) {
	t.Helper()
	if len(d.calls) != 1 || len(d.results) != 1 {
		t.Fatalf("%d calls began and %d ended, want one", len(d.calls), len(d.results))
	}
	c, r := d.calls[0], d.results[0]
	d.calls, d.results = nil, nil
	return c, r
}

func marks(ctx context.Context) string {
	s := ""
	for _, m := range []mark{"a", "b"} {
		if ctx.Value(m) != nil {
			s += string(m)
		}
	}
	return "[" + s + "]"
}

func TestAnObserverSeesWhatBecameOfEachCall(t *testing.T) {
	t.Parallel()
	d := &diary{}
	s := memory.New(nil).With(&backend.Options{Observer: d}).Prefix("p")
	ctx, b := t.Context(), valueOf(time.Hour, "body")
	add := driver.Op{Key: "secret key", Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}}
	del := driver.Op{Key: "secret key", Step: record.Step{Verb: record.Delete}}
	outcomes := func(done, refused, unsent int) (o [4]int) {
		o[driver.Done], o[driver.Refused], o[driver.Unsent] = done, refused, unsent
		return o
	}
	for _, tc := range []struct {
		run    func()
		call   backend.Call
		result backend.Result
	}{
		{
			func() { s.Write(ctx, add) },
			backend.Call{Operation: backend.OpWrite, Verb: record.Add, Keys: 1, Bytes: len(b)},
			backend.Result{Outcomes: outcomes(1, 0, 0)},
		},
		{
			func() { s.Write(ctx, add, add, del, driver.Op{Key: "x"}, add) },
			backend.Call{Operation: backend.OpWrite, Keys: 5, Bytes: 3 * len(b)},
			backend.Result{Outcomes: outcomes(2, 2, 1), Bytes: 2 * len(b), ErrorType: "other"},
		},
		{
			func() { s.Get(ctx, "secret key", "none", "secret key") },
			backend.Call{Operation: backend.OpGet, Keys: 3},
			backend.Result{Hits: 2, Misses: 1, Bytes: 2 * len(b)},
		},
		{
			func() { s.GetStale(ctx, "secret key", "none") },
			backend.Call{Operation: backend.OpGetStale, Keys: 2},
			backend.Result{Hits: 1, Misses: 1, Bytes: len(b)},
		},
		{func() { s.Get(ctx, "none") }, backend.Call{Operation: backend.OpGet, Keys: 1}, backend.Result{Misses: 1}},
		{func() { s.Count(ctx, "n", 1, time.Hour) }, backend.Call{Operation: backend.OpCount, Keys: 1}, backend.Result{}},
		{func() { s.Scan(ctx, "", func([]string) bool { return true }) }, backend.Call{Operation: backend.OpScan}, backend.Result{Hits: 1}},
		{
			func() { s.DeletePrefix(ctx, "") },
			backend.Call{Operation: backend.OpDeletePrefix, Verb: record.Delete},
			backend.Result{Outcomes: outcomes(1, 0, 0)},
		},
		{func() { s.Stats(ctx) }, backend.Call{Operation: backend.OpStats}, backend.Result{}},
		{func() { s.Ping(ctx) }, backend.Call{Operation: backend.OpPing}, backend.Result{}},
		{
			func() { s.WriteWith(ctx, []driver.Op{add}) },
			backend.Call{Operation: backend.OpWriteWith, Verb: record.Add, Keys: 1, Bytes: len(b)},
			backend.Result{ErrorType: "unsupported"},
		},
	} {
		tc.run()
		call, result := d.last(t)
		if tc.call.Server = "memory://"; call != tc.call {
			t.Errorf("%s: call %+v, want %+v", tc.call.Operation, call, tc.call)
		}
		if result.Duration <= 0 || (result.Err != nil) != (tc.result.ErrorType != "") {
			t.Errorf("%s: took %v, error %v", tc.call.Operation, result.Duration, result.Err)
		}
		result.Duration, result.Err = 0, nil
		if result != tc.result {
			t.Errorf("%s: result %+v, want %+v", tc.call.Operation, result, tc.result)
		}
		if told := fmt.Sprintf("%+v %+v", call, result); strings.Contains(told, "secret") {
			t.Errorf("%s: the observer was told a key: %s", tc.call.Operation, told)
		}
	}
	s.Get(ctx)
	s.GetStale(ctx)
	s.Write(ctx)
	if len(d.calls) != 0 {
		t.Errorf("calls of nothing were seen: %v", d.calls)
	}
}

func TestAnObserverSeesEachFailureByItsClass(t *testing.T) {
	t.Parallel()
	for class, err := range map[string]error{
		"unavailable":       fmt.Errorf("server x: %w", backend.ErrUnavailable),
		"closed":            errors.Join(backend.ErrUnavailable, backend.ErrClosed),
		"canceled":          context.Canceled,
		"deadline_exceeded": fmt.Errorf("read: %w", context.DeadlineExceeded),
		"too_large":         backend.ErrTooLarge,
		"denied":            errors.Join(backend.ErrUnavailable, backend.ErrDenied),
		"other":             errors.New("boo"),
	} {
		d, inner := &diary{}, &spy{
			found:  func(string) driver.Result { return driver.Result{Err: err} },
			effect: func(driver.Op) driver.Effect { return driver.Effect{Outcome: driver.Unknown, Err: err} },
		}
		s := backend.New(inner).With(&backend.Options{Observer: d})
		s.Get(t.Context(), "a", "b")
		if _, r := d.last(t); r.Failed != 2 || r.Misses != 0 || r.ErrorType != class || !errors.Is(r.Err, err) {
			t.Errorf("Get that fails with %v: %+v, want 2 failed as %s", err, r, class)
		}
		s.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: record.Delete}})
		if _, r := d.last(t); r.Outcomes[driver.Unknown] != 1 || r.ErrorType != class {
			t.Errorf("Write that fails with %v: %+v, want unknown as %s", err, r, class)
		}
	}
}

func TestAnObserverSeesATimeout(t *testing.T) {
	t.Parallel()
	d := &diary{}
	s := backend.New(&slow{after: time.Hour}).With(&backend.Options{Observer: d, Timeout: time.Millisecond})
	s.Get(t.Context(), "a")
	if _, r := d.last(t); r.Failed != 1 || r.ErrorType != "unavailable" {
		t.Errorf("%+v, want one failure as unavailable", r)
	}
}

func TestEachOfTwoObserversGetsItsOwnContextBack(t *testing.T) {
	t.Parallel()
	var log []string
	inner := &contextual{log: &log}
	s := backend.New(inner).With(&backend.Options{Observer: &diary{name: "a", log: &log}}).
		With(&backend.Options{Observer: &diary{name: "b", log: &log}})
	s.Ping(t.Context())
	wanted := []string{"start a within []", "start b within [a]", "driver within [ab]", "end b within [ab]", "end a within [a]"}
	if !slices.Equal(log, wanted) {
		t.Errorf("%q, want %q", log, wanted)
	}
}

// contextual is a driver that tells the context of Ping.
type contextual struct {
	spy
	log *[]string
}

func (d *contextual) Ping(ctx context.Context) error {
	*d.log = append(*d.log, "driver within "+marks(ctx))
	return nil
}

// A tally is an observer as metrics make one: it only counts.
type tally struct{ calls, hits int }

func (*tally) Start(ctx context.Context, _ backend.Call) context.Context { return ctx }
func (t *tally) End(_ context.Context, _ backend.Call, r backend.Result) { t.calls++; t.hits += r.Hits }

func TestAnObserverCausesNoAllocs(t *testing.T) { // not parallel: it counts allocations
	if raceEnabled {
		t.Skip("the race detector allocates: go test -run Alloc ./backend")
	}
	b := valueOf(time.Hour, "body")
	seen := &tally{}
	bare, observed := backend.New(quiet{}), backend.New(quiet{}).With(&backend.Options{Observer: seen})
	for name, tc := range map[string]struct {
		call func(s *backend.Store)
		most float64 // without an observer: what the driver is given, and its answer
	}{
		"Get":      {func(s *backend.Store) { s.Get(context.Background(), "a") }, 2},
		"GetStale": {func(s *backend.Store) { s.GetStale(context.Background(), "a") }, 2},
		"bulk Get": {func(s *backend.Store) { s.Get(context.Background(), "a", "b") }, 2},
		"Write": {func(s *backend.Store) {
			s.Write(context.Background(), driver.Op{Key: "a", Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}})
		}, 3},
		"Ping": {func(s *backend.Store) { s.Ping(context.Background()) }, 0},
	} {
		without := testing.AllocsPerRun(1000, func() { tc.call(bare) })
		with := testing.AllocsPerRun(1000, func() { tc.call(observed) })
		if without > tc.most || with > without {
			t.Errorf("%s: %v allocations, at most %v are allowed, and %v with an observer", name, without, tc.most, with)
		}
	}
	if seen.calls == 0 {
		t.Error("the observer saw nothing")
	}
}

// quiet is a driver that allocates what its answers need, and nothing else.
type quiet struct{}

func (quiet) Get(_ context.Context, keys []string) []driver.Result {
	return make([]driver.Result, len(keys))
}

func (quiet) Write(_ context.Context, ops []driver.Op) []driver.Effect {
	return make([]driver.Effect, len(ops))
}
func (quiet) Ping(context.Context) error { return nil }
func (quiet) String() string             { return "quiet://" }
func (quiet) Close() error               { return nil }
