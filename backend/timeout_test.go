package backend_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// A slow driver answers each call, and each step of a scan, after a while, or when the context ends.
type slow struct {
	after, write time.Duration // of any step, and of a write beyond that
	steps        int
}

func (d *slow) wait(ctx context.Context) error { return waitFor(ctx, d.after) }

func waitFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *slow) Get(ctx context.Context, keys []string) []driver.Result {
	err := d.wait(ctx)
	results := make([]driver.Result, len(keys))
	for i := range results {
		results[i].Err = err
	}
	return results
}

func (d *slow) GetStale(ctx context.Context, keys []string) []driver.Result { return d.Get(ctx, keys) }

func (d *slow) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	err := waitFor(ctx, d.after+d.write)
	for i := range effects {
		if effects[i].Outcome = driver.Done; err != nil {
			effects[i] = driver.Effect{Outcome: driver.Unknown, Err: err}
		}
	}
	return effects
}

func (d *slow) WriteWith(ctx context.Context, ops []driver.Op, _ ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	err := d.wait(ctx)
	return []driver.Effect{{Outcome: driver.Unknown, Err: err}}, nil, err
}

func (d *slow) Count(ctx context.Context, _ string, delta int64, _ time.Duration) (int64, error) {
	return delta, d.wait(ctx)
}

func (d *slow) Scan(ctx context.Context, _ string, yield func([]string) bool) error {
	for range d.steps {
		if err := d.wait(ctx); err != nil {
			return err
		} else if !yield([]string{"k"}) {
			return nil
		}
	}
	return d.wait(ctx)
}

func (d *slow) Stats(ctx context.Context) (map[string]map[string]string, error) {
	return nil, d.wait(ctx)
}
func (d *slow) Ping(ctx context.Context) error { return d.wait(ctx) }
func (d *slow) String() string                 { return "slow://host:1" }
func (d *slow) Close() error                   { return nil }

// everyCall makes each call that goes to the server and returns its error.
func everyCall(ctx context.Context, s *backend.Store) map[string]error {
	add := driver.Op{Key: "k", Step: record.Step{Verb: record.Add, Record: valueOf(time.Hour, "b"), TTL: time.Hour}}
	errs := map[string]error{}
	errs["Get"] = s.Get(ctx, "k")[0].Err
	errs["GetStale"] = s.GetStale(ctx, "k")[0].Err
	errs["bulk Get"] = s.Get(ctx, "k", "l", "k")[2].Err
	errs["Write"] = s.Write(ctx, add)[0].Err
	_, errs["Touch"] = s.Touch(ctx, "k", record.NewToken(), time.Hour)
	_, errs["Count"] = s.Count(ctx, "k", 1, time.Hour)
	errs["Scan"] = s.Scan(ctx, "", func([]string) bool { return true })
	_, errs["DeletePrefix"] = s.DeletePrefix(ctx, "")
	_, errs["Stats"] = s.Stats(ctx)
	errs["Ping"] = s.Ping(ctx)
	_, _, errs["WriteWith"] = s.WriteWith(ctx, []driver.Op{add})
	return errs
}

func TestATimeoutIsUnavailableAndNamesServerAndLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{after: time.Second, steps: 1}).With(&backend.Options{Timeout: 30 * time.Millisecond})
		for name, err := range everyCall(t.Context(), s) {
			if !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want ErrUnavailable and no context's error", name, err)
			} else if msg := err.Error(); !strings.Contains(msg, "slow://host:1") || !strings.Contains(msg, "30ms") {
				t.Errorf("%s: %v, want server and limit named", name, err)
			}
		}
		begin := time.Now()
		e := s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0]
		if took := time.Since(begin); e.Outcome != driver.Unknown || took != 30*time.Millisecond {
			t.Errorf("%+v after %v, want unknown after 30ms", e, took)
		}
	})
}

func TestACallersContextIsReportedAsItIsUnderATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{after: time.Minute, steps: 1}).With(&backend.Options{Timeout: time.Second})
		late, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		for name, err := range everyCall(late, s) {
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s: %v, want the caller's deadline", name, err)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range everyCall(cancelled, s) {
			if !errors.Is(err, context.Canceled) || errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s: %v, want the caller's cancellation", name, err)
			}
		}
	})
}

func TestACallWithinItsTimeoutIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{after: 20 * time.Millisecond, steps: 100}).With(&backend.Options{Timeout: 30 * time.Millisecond})
		for name, err := range everyCall(t.Context(), s) { // a scan's steps take 2s together
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		steps := 0
		err := s.Scan(t.Context(), "", func([]string) bool {
			steps++
			time.Sleep(time.Second) // the caller's time does not count
			return true
		})
		if err != nil || steps != 100 {
			t.Errorf("Scan: %v after %d steps, want all 100", err, steps)
		}
		if n, err := s.DeletePrefix(t.Context(), ""); n != 100 || err != nil {
			t.Errorf("DeletePrefix: %d, %v, want 100", n, err)
		}
	})
}

// A socket that was given the context's deadline may end before the context itself.
type early struct{ spy }

func (*early) Ping(context.Context) error {
	return fmt.Errorf("read tcp: %w", context.DeadlineExceeded)
}

func TestADeadlineIsOursThoughTheDriverSawItBeforeTheContext(t *testing.T) {
	t.Parallel()
	s := backend.New(&early{}).With(&backend.Options{Timeout: time.Minute})
	if err := s.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping: %v, want the timeout", err)
	}
	for name, limit := range map[string]time.Duration{"sooner": time.Second, "later": time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if err := s.Ping(ctx); errors.Is(err, backend.ErrUnavailable) != (name == "later") {
			t.Errorf("Ping with a deadline of the caller that is %s: %v", name, err)
		}
	}
}

func TestTheShortestOfSeveralTimeoutsCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{after: time.Minute})
		for _, limits := range [][]time.Duration{{time.Second, 5 * time.Second}, {5 * time.Second, time.Second}, {0, time.Second, -1}} {
			d := s
			for _, limit := range limits {
				d = d.With(&backend.Options{Timeout: limit}).Prefix("p")
			}
			begin := time.Now()
			if err := d.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) || time.Since(begin) != time.Second {
				t.Errorf("%v: %v after %v, want unavailable after 1s", limits, err, time.Since(begin))
			}
		}
	})
}

func TestADeleteThatTimesOutEndsADeletePrefix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{steps: 3, write: time.Minute}).With(&backend.Options{Timeout: time.Second})
		begin := time.Now()
		n, err := s.DeletePrefix(t.Context(), "")
		if took := time.Since(begin); n != 0 || !errors.Is(err, backend.ErrUnavailable) || took != time.Second {
			t.Errorf("DeletePrefix: %d, %v after %v, want unavailable after 1s", n, err, took)
		}
	})
}

func TestAScanThatTheCallerEndsInATimeoutHasNoError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.New(&slow{after: time.Millisecond, steps: 9}).With(&backend.Options{Timeout: time.Second})
		if err := s.Scan(t.Context(), "", func([]string) bool { time.Sleep(time.Minute); return false }); err != nil {
			t.Errorf("Scan: %v", err)
		}
	})
}
