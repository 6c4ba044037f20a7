package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
)

// A spy is a driver without any capability that remembers what it was given.
type spy struct {
	got     [][]string
	written [][]driver.Op
	found   func(key string) driver.Result
	effect  func(op driver.Op) driver.Effect
	closed  int
}

func (s *spy) Get(_ context.Context, keys []string) []driver.Result {
	s.got = append(s.got, slices.Clone(keys))
	results := make([]driver.Result, len(keys))
	for i, k := range keys {
		if s.found != nil {
			results[i] = s.found(k)
		}
	}
	return results
}

func (s *spy) Write(_ context.Context, ops []driver.Op) []driver.Effect {
	s.written = append(s.written, slices.Clone(ops))
	effects := make([]driver.Effect, len(ops))
	for i, op := range ops {
		effects[i].Outcome = driver.Done
		if s.effect != nil {
			effects[i] = s.effect(op)
		}
	}
	return effects
}

func (s *spy) Ping(context.Context) error { return nil }
func (s *spy) String() string             { return "spy" }
func (s *spy) Close() error               { s.closed++; return nil }

func valueOf(ttl time.Duration, body string) []byte {
	return record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(ttl)}, []byte(body))
}

func TestDuplicateKeysAreAskedForOnce(t *testing.T) {
	t.Parallel()
	a := valueOf(time.Hour, "a")
	d := &spy{found: func(key string) driver.Result {
		if key == "a" {
			return driver.Result{Record: a}
		}
		return driver.Result{Err: fmt.Errorf("no %s", key)}
	}}
	got := backend.New(d).Get(t.Context(), "a", "b", "a", "b", "a")
	if len(d.got) != 1 || !slices.Equal(d.got[0], []string{"a", "b"}) {
		t.Errorf("the driver was asked for %v, want a and b once", d.got)
	}
	for i, r := range got {
		if i%2 == 0 && string(r.Record) != string(a) || i%2 == 1 && (r.Err == nil || r.Record != nil) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
}

func TestGetReturnsNothingThatHasExpiredOrIsNoRecord(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{"expired": valueOf(-time.Millisecond, "x"), "short": []byte("junk"), "empty": {}} {
		d := &spy{found: func(string) driver.Result { return driver.Result{Record: b} }}
		if got := backend.New(d).Get(t.Context(), "a")[0]; got.Record != nil || got.Err != nil {
			t.Errorf("%s: %+v, want nothing", name, got)
		}
		if got := backend.New(d).Get(t.Context(), "a", "b")[1]; got.Record != nil || got.Err != nil {
			t.Errorf("%s, in a bulk: %+v, want nothing", name, got)
		}
	}
}

func TestAGetOrWriteOfNothingAsksNobody(t *testing.T) {
	t.Parallel()
	d := &spy{}
	s := backend.New(d)
	bad := s.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: record.Remove}})
	if s.Get(t.Context()); len(d.got) != 0 || len(s.Write(t.Context())) != 0 || len(d.written) != 0 || bad[0].Outcome != driver.Unsent {
		t.Errorf("the driver was given %v, %v", d.got, d.written)
	}
}

func TestAnOpThatNoServerShouldSeeIsUnsent(t *testing.T) {
	t.Parallel()
	b, token := valueOf(time.Hour, "b"), record.NewToken()
	good := driver.Op{Key: "good", Step: record.Step{Verb: record.Add, Record: b, TTL: time.Second}}
	for name, step := range map[string]record.Step{
		"add without TTL":        {Verb: record.Add, Record: b},
		"TTL below a ms":         {Verb: record.Add, Record: b, TTL: time.Millisecond - 1},
		"negative TTL":           {Verb: record.Swap, Expect: token, Record: b, TTL: -1},
		"swap without token":     {Verb: record.Swap, Record: b, TTL: time.Second},
		"add of no record":       {Verb: record.Add, TTL: time.Second},
		"add of a short record":  {Verb: record.Add, Record: b[:record.HeaderLen-1], TTL: time.Second},
		"remove without token":   {Verb: record.Remove},
		"leave without token":    {Verb: record.Leave},
		"place without token":    {Verb: record.Place, TTL: time.Second},
		"place without TTL":      {Verb: record.Place, Expect: token},
		"renew without TTL":      {Verb: record.Renew, Expect: token},
		"renew without token":    {Verb: record.Renew, TTL: time.Second},
		"no verb":                {},
		"a verb of another kind": {Verb: record.Renew + 1, Expect: token, TTL: time.Second},
	} {
		d := &spy{}
		effects := backend.New(d).Write(t.Context(), good, driver.Op{Key: "bad", Step: step}, good)
		if effects[1].Outcome != driver.Unsent || effects[1].Err == nil {
			t.Errorf("%s: %+v, want unsent with a reason", name, effects[1])
		}
		if effects[0].Outcome != driver.Done || effects[2].Outcome != driver.Done {
			t.Errorf("%s: the ops around it: %+v", name, effects)
		}
		if len(d.written) != 1 || len(d.written[0]) != 2 || d.written[0][0].Key != "good" || d.written[0][1].Key != "good" {
			t.Errorf("%s: the driver was given %v", name, d.written)
		}
	}
}

func TestTheDriverIsGivenAFreshTokenEachTime(t *testing.T) {
	t.Parallel()
	d := &spy{}
	s, seen := backend.New(d), map[record.Token]bool{}
	for _, verb := range []record.Verb{record.Place, record.Leave, record.Delete, record.Place} {
		s.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: verb, Expect: record.NewToken(), TTL: time.Second}})
		got := d.written[len(d.written)-1][0].Fresh
		if got.IsZero() || seen[got] {
			t.Errorf("%v: fresh token %v", verb, got)
		}
		seen[got] = true
	}
	chosen := record.NewToken()
	s.Write(t.Context(), driver.Op{Key: "a", Step: record.Step{Verb: record.Delete, Fresh: chosen}})
	if got := d.written[len(d.written)-1][0].Fresh; got != chosen {
		t.Errorf("fresh token %v, want the caller's", got)
	}
}

func TestADriverWithoutACapabilityIsUnsupported(t *testing.T) {
	t.Parallel()
	s, ctx := backend.New(&spy{}), t.Context()
	errs := map[string]error{"OnServer": s.OnServer(func(string, string) {})}
	_, errs["Count"] = s.Count(ctx, "a", 1, time.Second)
	_, errs["Stats"] = s.Stats(ctx)
	_, errs["DeletePrefix"] = s.DeletePrefix(ctx, "a")
	_, _, errs["WriteWith"] = s.WriteWith(ctx, nil)
	errs["Scan"] = s.Scan(ctx, "a", func([]string) bool { return true })
	for name, err := range errs {
		if !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	if n, ok := s.MaxRecord(); ok || n != 0 {
		t.Errorf("MaxRecord: %d, %v", n, ok)
	}
	var target *spy
	if s.As(&target) || s.As(nil) {
		t.Error("As is true")
	}
}

// decorated is a driver around another, as a fault injector is.
type decorated struct{ driver.Driver }

func (d decorated) Unwrap() driver.Driver { return d.Driver }

// counting is a driver with one capability.
type counting struct{ spy }

func (*counting) Count(_ context.Context, _ string, delta int64, _ time.Duration) (int64, error) {
	return delta, nil
}

func TestACapabilityIsFoundThroughDecorators(t *testing.T) {
	t.Parallel()
	s := backend.New(decorated{decorated{&counting{}}})
	if n, err := s.Prefix("p").Count(t.Context(), "a", 7, time.Second); n != 7 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	if _, err := s.Count(t.Context(), "a", 7, 0); err == nil {
		t.Error("Count without a TTL: no error")
	}
	if _, err := backend.New(decorated{&spy{}}).Count(t.Context(), "a", 7, time.Second); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("Count: %v, want ErrUnsupported", err)
	}
}

func TestOnlyTheStoreClosesItsDriver(t *testing.T) {
	t.Parallel()
	d := &spy{}
	s := backend.New(d)
	s.Prefix("a").Close()
	s.Prefix("a").Prefix("b").Close()
	if d.closed != 0 {
		t.Error("a view closed the driver")
	}
	if s.Close(); d.closed != 1 {
		t.Error("the store did not close its driver")
	}
}

// failing refuses to say what became of one key.
type failing struct {
	driver.Driver
	key string
}

func (f failing) Unwrap() driver.Driver { return f.Driver }

func (f failing) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := f.Driver.Write(ctx, ops)
	for i, op := range ops {
		if op.Key == f.key {
			effects[i] = driver.Effect{Outcome: driver.Unknown, Err: backend.ErrUnavailable}
		}
	}
	return effects
}

// scanner lists fixed keys.
type scanner struct {
	spy
	keys []string
}

func (s *scanner) Scan(_ context.Context, _ string, yield func([]string) bool) error {
	for _, k := range s.keys {
		if !yield([]string{k}) {
			return nil
		}
	}
	return nil
}

func TestDeletePrefixReportsADeleteThatFailed(t *testing.T) {
	t.Parallel()
	d := &scanner{keys: []string{"a", "b", "c"}}
	n, err := backend.New(failing{d, "b"}).DeletePrefix(t.Context(), "")
	if n != 1 || !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("DeletePrefix: %d, %v, want 1 and the error", n, err)
	}
}

func TestListingAKeySpaceFindsLongKeysToo(t *testing.T) {
	t.Parallel()
	s := memory.New(nil)
	defer s.Close()
	long := string(make([]byte, 300))
	for _, name := range []string{"p", "ü {", long} {
		view := s.Prefix(name)
		b := valueOf(time.Hour, "b")
		for _, key := range []string{"k", "", long, long + "2"} {
			view.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}})
		}
		if n, err := view.DeletePrefix(t.Context(), ""); n != 4 || err != nil {
			t.Errorf("DeletePrefix in %.10q: %d, %v, want 4", name, n, err)
		}
		if got := view.Get(t.Context(), long)[0]; got.Record != nil {
			t.Errorf("a long key in %.10q is still there", name)
		}
	}
}
