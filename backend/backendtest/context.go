package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// A call is one method, with what its outcome is if it has one.
type call struct {
	name string
	run  func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error)
}

// calls are the methods that make a round trip, as far as the backend has them.
func (e *env) calls() []call {
	none := driver.Effect{}
	b, token := value("written by a call")
	write := func(ctx context.Context, s *backend.Store, key string, step record.Step) (driver.Effect, error) {
		f := s.Write(ctx, driver.Op{Key: key, Step: step})[0]
		return f, f.Err
	}
	calls := []call{
		{"Get", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return none, s.Get(ctx, key)[0].Err
		}},
		{"bulk Get", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			results := s.Get(ctx, key, key+"x", key+"y")
			if (results[0].Err == nil) != (results[2].Err == nil) {
				return none, errors.New("one server, and its keys neither all failed nor all did not")
			}
			return none, results[1].Err
		}},
		{"Add", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return write(ctx, s, key, record.Step{Verb: record.Add, Record: b, TTL: long})
		}},
		{"Swap", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return write(ctx, s, key, swap(token, b))
		}},
		{"Place", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return write(ctx, s, key, place(token))
		}},
		{"Delete", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return write(ctx, s, key, record.Step{Verb: record.Delete})
		}},
		{"Ping", func(ctx context.Context, s *backend.Store, _ string) (driver.Effect, error) { return none, s.Ping(ctx) }},
	}
	if e.Features.Counter {
		calls = append(calls, call{"Count", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			_, err := s.Count(ctx, key+"counter", 1, long)
			return none, err
		}})
	}
	if e.Features.Scanner {
		calls = append(calls, call{"Scan", func(ctx context.Context, s *backend.Store, key string) (driver.Effect, error) {
			return none, s.Scan(ctx, key, func([]string) bool { return true })
		}})
	}
	if e.Features.Statser {
		calls = append(calls, call{"Stats", func(ctx context.Context, s *backend.Store, _ string) (driver.Effect, error) {
			_, err := s.Stats(ctx)
			return none, err
		}})
	}
	return calls
}

// eachCall runs a subtest for each method.
func (e *env) eachCall(t *testing.T, f func(t *testing.T, c call, key string)) {
	for _, c := range e.calls() {
		t.Run(c.name, func(t *testing.T) { f(t, c, e.key(c.name)) })
	}
}

var contextRules = []rule{
	{
		name: "cancelled before",
		text: "a call whose context has ended fails with the context's own error, and writes nothing",
		test: func(t *testing.T, e *env) {
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			e.ended(t, cancelled, context.Canceled)
		},
	},
	{
		name: "deadline before",
		text: "a call whose deadline is past fails with the context's own error, and writes nothing",
		test: func(t *testing.T, e *env) {
			late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			defer cancel()
			e.ended(t, late, context.DeadlineExceeded)
		},
	},
	{
		name: "useful after",
		text: "a Store whose calls were cancelled in their middle serves the next ones",
		test: func(t *testing.T, e *env) {
			b, _ := value("b")
			add(t, e.store, e.key("a"), b)
			for i := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
				r := e.store.Get(ctx, e.key("none"), e.key("a"))
				cancel()
				if r[1].Err == nil && record.TokenOf(r[1].Record) != record.TokenOf(b) || r[0].Record != nil {
					t.Fatalf("Get: %s, %s", describe(r[0].Record), describe(r[1].Record))
				}
				if r[1].Err != nil && !errors.Is(r[1].Err, context.DeadlineExceeded) {
					t.Fatalf("Get: %v, want the context's error", r[1].Err)
				}
			}
			want(t, e.store, e.key("a"), b)
		},
	},
}

func (e *env) ended(t *testing.T, ctx context.Context, wanted error) {
	e.eachCall(t, func(t *testing.T, c call, key string) {
		b, token := value("there")
		keep := c.name == "Delete"
		if keep {
			add(t, e.store, key, b)
		}
		within(t, 10*e.Timeout, c.name, func() {
			f, err := c.run(ctx, e.store, key)
			if !errors.Is(err, wanted) {
				t.Errorf("error %v, want %v", err, wanted)
			}
			if f.Outcome == driver.Done || f.Outcome == driver.Refused {
				t.Errorf("outcome %v", f.Outcome)
			}
		})
		if got := get(t, e.store, key); keep != (record.TokenOf(got) == token) || !keep && got != nil {
			t.Errorf("then there is %s", describe(got))
		}
	})
}
