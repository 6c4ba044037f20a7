package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault"
)

var errOwn = errors.New("own")

func valueOf(body string) []byte {
	return record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte(body))
}

func add(key string, rec []byte) driver.Op {
	return driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: rec, TTL: time.Hour}}
}

// setup returns a store with the faults of i, its decorator, and the same store without them. It must run in a bubble.
func setup(t *testing.T, i fault.Injector) (s *backend.Store, d *fault.Driver, bare *backend.Store) {
	bare = memory.New(nil)
	s = bare.With(&backend.Options{Decorate: func(inner driver.Driver) driver.Driver {
		d = fault.Wrap(inner, i)
		return d
	}})
	return s, d, bare
}

func there(s *backend.Store, key string) bool {
	return s.Get(context.Background(), key)[0].Record != nil
}

func TestEachFaultDoesToAWriteWhatItSays(t *testing.T) {
	t.Parallel()
	until := func(f func(error, <-chan struct{}) fault.Fault) func() (fault.Fault, func()) {
		return func() (fault.Fault, func()) {
			c := make(chan struct{})
			return f(nil, c), func() { close(c) }
		}
	}
	after := func(f fault.Fault) func() (fault.Fault, func()) {
		return func() (fault.Fault, func()) { return f, func() { time.Sleep(time.Minute) } }
	}
	for name, tc := range map[string]struct {
		make    func() (f fault.Fault, release func())
		outcome driver.Outcome
		err     error
		now     bool // it is there when the call has returned
		later   bool // and later, if what was there first is removed
	}{
		"none":         {after(fault.Fault{}), driver.Done, nil, true, false},
		"fail":         {after(fault.Fail(nil)), driver.Unsent, fault.ErrInjected, false, false},
		"fail, own":    {after(fault.Fail(errOwn)), driver.Unsent, errOwn, false, false},
		"drop":         {after(fault.Drop(nil)), driver.Unknown, fault.ErrInjected, false, false},
		"lose":         {after(fault.Lose(nil)), driver.Unknown, fault.ErrInjected, true, false},
		"late":         {after(fault.Late(nil, time.Second)), driver.Unknown, fault.ErrInjected, false, true},
		"late until":   {until(fault.LateUntil), driver.Unknown, fault.ErrInjected, false, true},
		"again":        {after(fault.Again(time.Second)), driver.Done, nil, true, true},
		"again until":  {until(func(_ error, c <-chan struct{}) fault.Fault { return fault.AgainUntil(c) }), driver.Done, nil, true, true},
		"delay":        {after(fault.Delay(time.Second)), driver.Done, nil, true, false},
		"delayed loss": {after(fault.Lose(errOwn).With(fault.Delay(time.Second))), driver.Unknown, errOwn, true, false},
		"lie":          {after(fault.Miss()), driver.Done, nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, release := tc.make()
				s, d, bare := setup(t, f.If(fault.On(fault.Add)))
				defer s.Close()
				rec := valueOf("body")
				e := s.Write(t.Context(), add("a", rec))[0]
				if e.Outcome != tc.outcome || !errors.Is(e.Err, tc.err) || (e.Err == nil) != (tc.err == nil) {
					t.Errorf("%v, %v, want %v, %v", e.Outcome, e.Err, tc.outcome, tc.err)
				}
				clear(rec) // the caller's, again
				if there(bare, "a") != tc.now {
					t.Errorf("there at once: %v, want %v", !tc.now, tc.now)
				}
				bare.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: record.Delete}})
				synctest.Wait()
				if there(bare, "a") {
					t.Error("it happened before its time")
				}
				release()
				d.Settle()
				got := bare.Get(t.Context(), "a")[0].Record
				if (got != nil) != tc.later {
					t.Errorf("there later: %v, want %v", got != nil, tc.later)
				} else if _, body, _ := record.Parse(got); tc.later && string(body) != "body" {
					t.Errorf("later there is %q, want the record as it was", body)
				}
			})
		})
	}
}

func TestAnInjectedErrorIsUnavailable(t *testing.T) {
	t.Parallel()
	if !errors.Is(fault.ErrInjected, backend.ErrUnavailable) {
		t.Error("ErrInjected is not ErrUnavailable")
	}
}

func TestEachFaultDoesToOtherCallsWhatItSays(t *testing.T) {
	t.Parallel()
	type outcome struct{ get, count, scan, stats, ping bool } // what fails
	all := outcome{true, true, true, true, true}
	for name, tc := range map[string]struct {
		fault      fault.Fault
		fails      outcome
		now, later int64 // what the counter is, at 1 before
		listed     int   // of 2 keys in different batches, 0 for whatever a lost scan has yielded
	}{
		"none":  {fault.Fault{}, outcome{}, 2, 2, 2},
		"fail":  {fault.Fail(nil), all, 1, 1, -1},
		"drop":  {fault.Drop(nil), all, 1, 1, -1},
		"lose":  {fault.Lose(nil), all, 2, 2, 0},
		"late":  {fault.Late(nil, time.Second), all, 1, 2, -1},
		"again": {fault.Again(time.Second), outcome{}, 2, 3, 2},
		"delay": {fault.Delay(time.Second), outcome{}, 2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				toggle := fault.NewToggle(tc.fault)
				s, d, bare := setup(t, toggle)
				defer s.Close()
				ctx := t.Context()
				bare.Write(ctx, add("a", valueOf("a")), add("b", valueOf("b")))
				bare.Count(ctx, "n", 1, time.Hour)
				toggle.On()

				listed := 0
				r := s.Get(ctx, "a")[0]
				_, counted := s.Count(ctx, "n", 1, time.Hour)
				scanned := s.Scan(ctx, "", func(keys []string) bool { listed += len(keys); return true })
				stats, told := s.Stats(ctx)
				pinged := s.Ping(ctx)
				if got := (outcome{r.Err != nil, counted != nil, scanned != nil, told != nil, pinged != nil}); got != tc.fails {
					t.Errorf("failed: %+v, want %+v", got, tc.fails)
				}
				if (r.Record == nil) != tc.fails.get || (stats == nil) != tc.fails.stats {
					t.Errorf("an answer beside an error, or neither: %+v, %v", r, stats)
				}
				if wanted := max(tc.listed, 0); tc.listed != 0 && listed != wanted {
					t.Errorf("%d keys listed, want %d", listed, wanted)
				}
				n, _ := bare.Count(ctx, "n", 0, time.Hour)
				d.Settle()
				if later, _ := bare.Count(ctx, "n", 0, time.Hour); n != tc.now || later != tc.later {
					t.Errorf("counted to %d, later to %d, want %d and %d", n, later, tc.now, tc.later)
				}
			})
		})
	}
}

func TestALostScanEndsAfterItsFirstBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, bare := setup(t, fault.Lose(errOwn).If(fault.On(fault.Scan)))
		defer s.Close()
		for i := range 500 { // of as many shards as there are
			bare.Write(t.Context(), add(fmt.Sprint(i), valueOf("")))
		}
		batches := 0
		if err := s.Scan(t.Context(), "", func([]string) bool { batches++; return true }); !errors.Is(err, errOwn) || batches != 1 {
			t.Errorf("Scan: %v after %d batches, want one, then its error", err, batches)
		}
	})
}

func TestInABulkCallEachKeyMeetsItsOwnFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &counted{}
		i := fault.First(fault.Fail(nil).If(fault.OnKey("a")), fault.Lose(nil).If(fault.OnKey("b")), fault.Miss().If(fault.OnKey("d")))
		s := with(memory.New(nil).With(&backend.Options{Decorate: inner.over}), i)
		defer s.Close()
		effects := s.Write(t.Context(), add("a", valueOf("")), add("b", valueOf("")), add("c", valueOf("")), add("d", valueOf("")))
		for at, wanted := range []driver.Outcome{driver.Unsent, driver.Unknown, driver.Done, driver.Done} {
			if effects[at].Outcome != wanted {
				t.Errorf("write %d: %+v, want %v", at, effects[at], wanted)
			}
		}
		results := s.Get(t.Context(), "a", "b", "c", "d")
		for at, fails := range []bool{true, true, false, false} {
			if (results[at].Err != nil) != fails || (results[at].Record != nil) != (at == 2) {
				t.Errorf("get %d: %+v", at, results[at])
			}
		}
		if !slices.Equal(inner.calls, []int{3, 3}) {
			t.Errorf("the driver was called with %v keys, want 3 once for each call", inner.calls)
		}
	})
}

// counted notes how many keys each call had.
type counted struct {
	driver.Driver
	calls []int
}

func (c *counted) over(d driver.Driver) driver.Driver { c.Driver = d; return c }
func (c *counted) Unwrap() driver.Driver              { return c.Driver }

func (c *counted) Get(ctx context.Context, keys []string) []driver.Result {
	c.calls = append(c.calls, len(keys))
	return c.Driver.Get(ctx, keys)
}

func (c *counted) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	c.calls = append(c.calls, len(ops))
	return c.Driver.Write(ctx, ops)
}

func TestLiesReachTheReaderAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, bare := setup(t, fault.Corrupt())
		defer s.Close()
		rec := valueOf("body")
		bare.Write(t.Context(), add("a", rec))
		got := s.Get(t.Context(), "a", "none")
		if want := string(rec[:len(rec)-1]) + "x"; string(got[0].Record) != want || got[1].Record != nil {
			t.Errorf("%q, %q, want %q and nothing", got[0].Record, got[1].Record, want)
		}
		if got := bare.Get(t.Context(), "a")[0].Record; string(got) != string(rec) {
			t.Errorf("stored is %q, want %q", got, rec)
		}
	})
}

func TestAContextOrCloseEndsADelay(t *testing.T) {
	t.Parallel()
	for name, injector := range map[string]func() fault.Fault{
		"delay": func() fault.Fault { return fault.Delay(time.Hour) },
		"hold":  func() fault.Fault { return fault.Hold(make(chan struct{})) }, // of the bubble
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _, bare := setup(t, injector())
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				e := s.Write(ctx, add("a", valueOf("")))[0]
				if e.Outcome != driver.Unsent || !errors.Is(e.Err, context.DeadlineExceeded) || there(bare, "a") {
					t.Errorf("%+v, want unsent by the context", e)
				}
				ended := make(chan error)
				go func() { ended <- s.Get(t.Context(), "a")[0].Err }() // ends with Close, received below
				synctest.Wait()
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := <-ended; !errors.Is(err, backend.ErrClosed) {
					t.Errorf("Get: %v, want ErrClosed", err)
				}
			})
		})
	}
}

func TestCloseDropsWhatHasNotHappenedYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bare := memory.New(nil)
		defer bare.Close()
		inner := keep{through(bare)}
		d := fault.Wrap(inner, fault.Late(nil, time.Hour))
		s := backend.New(d)
		s.Write(t.Context(), add("a", valueOf("")))
		begin := time.Now()
		s.Close()
		s.Close()
		d.Settle()
		if took := time.Since(begin); took != 0 || there(bare, "a") {
			t.Errorf("after %v there: %v, want nothing at once", took, there(bare, "a"))
		}
		if e := s.Write(t.Context(), add("a", valueOf("")))[0]; !errors.Is(e.Err, backend.ErrClosed) || e.Outcome != driver.Unsent {
			t.Errorf("Write after Close: %+v", e)
		}
	})
}

// through returns the driver of s.
func through(s *backend.Store) (inner driver.Driver) {
	s.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { inner = d; return d }})
	return inner
}

// keep is a driver that others close.
type keep struct{ driver.Driver }

func (keep) Close() error { return nil }

// stale is a driver that reads from elsewhere.
type stale struct{ driver.Driver }

func (d stale) GetStale(_ context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	for i, key := range keys {
		results[i].Record = valueOf("stale " + key)
	}
	return results
}

func TestAStaleReadMeetsItsOwnFaults(t *testing.T) {
	t.Parallel()
	s := backend.New(fault.Wrap(stale{through(memory.New(nil))}, fault.Fail(errOwn).If(fault.And(fault.On(fault.GetStale), fault.OnKey("a")))))
	defer s.Close()
	results := s.GetStale(t.Context(), "a", "b")
	if _, body, _ := record.Parse(results[1].Record); !errors.Is(results[0].Err, errOwn) || string(body) != "stale b" {
		t.Errorf("%+v, want an error, and what the driver reads elsewhere", results)
	}
	if r := s.Get(t.Context(), "a")[0]; r.Err != nil || r.Record != nil {
		t.Errorf("Get: %+v, want nothing", r)
	}
}

// rider is a driver that writes with riders.
type rider struct{ driver.Driver }

func (r rider) WriteWith(ctx context.Context, ops []driver.Op, riders ...driver.Rider) ([]driver.Effect, [][]byte, error) {
	return r.Write(ctx, ops), make([][]byte, len(riders)), nil
}

func TestAFaultOfOneOpBefallsAllThatRidesWithIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   fault.Fault
		outcome driver.Outcome
		now     bool
		later   bool
	}{
		"none":  {fault.Fault{}, driver.Done, true, false},
		"fail":  {fault.Fail(errOwn), driver.Unsent, false, false},
		"drop":  {fault.Drop(errOwn), driver.Unknown, false, false},
		"lose":  {fault.Lose(errOwn), driver.Unknown, true, false},
		"late":  {fault.Late(errOwn, time.Second), driver.Unknown, false, true},
		"again": {fault.Again(time.Second), driver.Done, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bare := memory.New(nil)
				d := fault.Wrap(rider{through(bare)}, tc.fault.If(fault.OnKey("b")))
				s := backend.New(d)
				defer s.Close()
				effects, replies, err := s.WriteWith(t.Context(), []driver.Op{add("a", valueOf("")), add("b", valueOf(""))}, nil)
				failed := tc.outcome != driver.Done
				if errors.Is(err, errOwn) != failed || (replies == nil) != failed || len(effects) != 2 {
					t.Fatalf("%+v, %v, %v", effects, replies, err)
				}
				for _, e := range effects {
					if e.Outcome != tc.outcome {
						t.Errorf("%+v, want %v", e, tc.outcome)
					}
				}
				for _, key := range []string{"a", "b"} {
					if there(bare, key) != tc.now {
						t.Errorf("%s is there: %v", key, !tc.now)
					}
					bare.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Delete}})
				}
				d.Settle()
				for _, key := range []string{"a", "b"} {
					if there(bare, key) != tc.later {
						t.Errorf("later %s is there: %v", key, !tc.later)
					}
				}
			})
		})
	}
}
