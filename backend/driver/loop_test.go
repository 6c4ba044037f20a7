package driver_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

var now = time.UnixMilli(1_700_000_000_000)

func clock() time.Time { return now }

// A fake is one key behind a compare-and-swap whose handle is a version.
type fake struct {
	current []byte
	version int

	loads, swaps int
	ttl          time.Duration                  // of the last swap
	before       func(f *fake)                  // comes in between, at each swap
	load         func(n int) error              // fails a Load
	swap         func() (driver.Outcome, error) // answers in place of a swap, unless Refused
}

func (f *fake) Load(context.Context, string) ([]byte, int, error) {
	f.loads++
	if f.load != nil {
		if err := f.load(f.loads); err != nil {
			return nil, 0, err
		}
	}
	return bytes.Clone(f.current), f.version, nil
}

func (f *fake) CompareAndSwap(_ context.Context, _ string, handle int, next []byte, ttl time.Duration) (driver.Outcome, error) {
	f.swaps++
	f.ttl = ttl
	if f.before != nil {
		f.before(f)
	}
	if handle != f.version {
		return driver.Refused, nil
	}
	if f.swap != nil {
		return f.swap()
	}
	f.put(next)
	return driver.Done, nil
}

func (f *fake) put(b []byte) { f.current, f.version = b, f.version+1 }

func loop(f *fake, s record.Step) driver.Effect {
	return driver.Loop(context.Background(), f, driver.Op{Key: "k", Step: s}, clock)
}

func valueOf(ttl time.Duration) ([]byte, record.Token) {
	t := record.NewToken()
	return record.New(record.Header{Kind: record.Value, Token: t, Expiry: now.Add(ttl)}, []byte("body")), t
}

func TestALostRaceIsRunAgainOverWhatWon(t *testing.T) {
	t.Parallel()
	f := &fake{}
	a, b := record.NewToken(), record.NewToken()
	fence, _ := record.Apply(nil, record.Step{Verb: record.Place, Expect: a, TTL: time.Minute}, now)
	f.before = func(f *fake) {
		if f.swaps == 1 {
			f.put(fence)
		}
	}
	e := loop(f, record.Step{Verb: record.Place, Expect: b, Fresh: record.NewToken(), TTL: time.Second})
	if e.Outcome != driver.Done || e.Err != nil || f.loads != 2 || f.swaps != 2 {
		t.Fatalf("%+v after %d loads and %d swaps, want done after 2 of each", e, f.loads, f.swaps)
	}
	_, body, _ := record.Parse(f.current)
	if !bytes.Equal(body, append(a[:], b[:]...)) {
		t.Errorf("writers %x, want both", body)
	}
}

func TestALostRaceThatLeavesNothingToDoIsRefused(t *testing.T) {
	t.Parallel()
	mine, _ := valueOf(time.Minute)
	winner, _ := valueOf(time.Minute)
	f := &fake{before: func(f *fake) {
		if f.swaps == 1 {
			f.put(winner)
		}
	}}
	e := loop(f, record.Step{Verb: record.Add, Record: mine, TTL: time.Minute})
	if e.Outcome != driver.Refused || !bytes.Equal(e.Found, winner) || e.Err != nil || f.swaps != 1 {
		t.Errorf("%+v after %d swaps, want refused by the winner after 1", e, f.swaps)
	}
}

func TestAKeyThatAlwaysChangesIsUnsentAndUnavailable(t *testing.T) {
	t.Parallel()
	mine, _ := valueOf(time.Minute)
	f := &fake{before: func(f *fake) { f.put(nil) }}
	e := loop(f, record.Step{Verb: record.Add, Record: mine, TTL: time.Minute})
	if e.Outcome != driver.Unsent || !errors.Is(e.Err, sentinel.ErrUnavailable) {
		t.Errorf("%+v, want unsent, unavailable", e)
	}
	if f.current != nil {
		t.Error("what was reported as unsent is there")
	}
}

func TestASwapWithoutAClearAnswerEndsTheLoop(t *testing.T) {
	t.Parallel()
	for _, outcome := range []driver.Outcome{driver.Unknown, driver.Unsent} {
		cause := errors.New("cause")
		f := &fake{swap: func() (driver.Outcome, error) { return outcome, cause }}
		mine, _ := valueOf(time.Minute)
		e := loop(f, record.Step{Verb: record.Add, Record: mine, TTL: time.Minute})
		if e.Outcome != outcome || !errors.Is(e.Err, cause) || f.swaps != 1 || f.loads != 1 {
			t.Errorf("%+v after %d swaps, want %v after one", e, f.swaps, outcome)
		}
	}
}

func TestALoadThatFailsIsUnsent(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	f := &fake{
		before: func(f *fake) { f.put(nil) },
		load: func(n int) error { // the second: after a race was lost
			if n == 2 {
				return cause
			}
			return nil
		},
	}
	mine, _ := valueOf(time.Minute)
	e := loop(f, record.Step{Verb: record.Add, Record: mine, TTL: time.Minute})
	if e.Outcome != driver.Unsent || !errors.Is(e.Err, cause) || f.swaps != 1 {
		t.Errorf("%+v after %d swaps, want unsent after one", e, f.swaps)
	}
}

func TestNothingToDoCostsNoSwap(t *testing.T) {
	t.Parallel()
	f := &fake{}
	for _, verb := range []record.Verb{record.Leave, record.Delete} {
		if e := loop(f, record.Step{Verb: verb, Expect: record.NewToken()}); e.Outcome != driver.Done || f.swaps != 0 {
			t.Errorf("%v of nothing: %+v after %d swaps, want done after none", verb, e, f.swaps)
		}
	}
}

func TestWhatHasExpiredIsReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	old, token := valueOf(0)
	next, _ := valueOf(time.Minute)
	f := &fake{current: old}
	if e := loop(f, record.Step{Verb: record.Swap, Expect: token, Record: next, TTL: time.Minute}); e.Outcome != driver.Refused || e.Found != nil {
		t.Errorf("swap of an expired value: %+v, want refused, found nothing", e)
	}
	if e := loop(f, record.Step{Verb: record.Add, Record: next, TTL: time.Minute}); e.Outcome != driver.Done || !bytes.Equal(f.current, next) {
		t.Errorf("add over an expired value: %+v", e)
	}
	f.put(old)
	if e := loop(f, record.Step{Verb: record.Delete}); e.Outcome != driver.Done || f.current != nil {
		t.Errorf("delete of an expired value: %+v, leaves %q", e, f.current)
	}
}

func TestARecordIsKeptUntilItsEnd(t *testing.T) {
	t.Parallel()
	writer := record.NewToken()
	fence, _ := record.Apply(nil, record.Step{Verb: record.Place, Expect: writer, TTL: time.Minute}, now)
	v, token := valueOf(time.Minute)
	for _, tc := range []struct {
		name    string
		current []byte
		step    record.Step
		wanted  time.Duration
	}{
		{"add", nil, record.Step{Verb: record.Add, Record: v, TTL: time.Minute}, time.Minute},
		{"add, TTL beyond the header", nil, record.Step{Verb: record.Add, Record: v, TTL: time.Hour}, time.Hour},
		{"place", nil, record.Step{Verb: record.Place, Expect: writer, TTL: time.Minute}, time.Minute + record.FenceSlack},
		{"join for less", fence, record.Step{Verb: record.Place, Expect: token, TTL: time.Second}, time.Minute + record.FenceSlack},
		{"join for more", fence, record.Step{Verb: record.Place, Expect: token, TTL: time.Hour}, time.Hour + record.FenceSlack},
		{"delete", fence, record.Step{Verb: record.Delete}, time.Minute + record.FenceSlack},
		{"renew", v, record.Step{Verb: record.Renew, Expect: token, TTL: time.Hour}, time.Hour},
	} {
		f := &fake{current: tc.current}
		if e := loop(f, tc.step); e.Outcome != driver.Done || f.ttl != tc.wanted {
			t.Errorf("%s: %+v, kept for %v, want %v", tc.name, e, f.ttl, tc.wanted)
		}
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	t.Parallel()
	for o, wanted := range map[driver.Outcome]string{
		driver.Unknown: "unknown", driver.Done: "done", driver.Refused: "refused", driver.Unsent: "unsent", 9: "invalid",
	} {
		if o.String() != wanted {
			t.Errorf("%d: %q, want %q", o, o, wanted)
		}
	}
	if (driver.Effect{}).Outcome != driver.Unknown {
		t.Error("the zero effect claims to know something")
	}
}
