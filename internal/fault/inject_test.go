package fault_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault"
)

// hits returns which of n operations of the kinds, in turn, p is true of.
func hits(p fault.Predicate, n int, kinds ...fault.Kind) []int {
	var at []int
	for i := range n {
		if p.Is(fault.Op{Kind: kinds[i%len(kinds)], Key: fmt.Sprint("key", i)}) {
			at = append(at, i)
		}
	}
	return at
}

func TestPredicatesChooseWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		p      fault.Predicate
		text   string
		wanted []int // of ten operations: get, add, place in turn
	}{
		{fault.On(fault.Get), "get", []int{0, 3, 6, 9}},
		{fault.On(fault.Add | fault.Place), "add|place", []int{1, 2, 4, 5, 7, 8}},
		{fault.On(fault.Writes), "writes", []int{1, 2, 4, 5, 7, 8}},
		{fault.On(fault.Reads), "reads", []int{0, 3, 6, 9}},
		{fault.On(fault.Scan | fault.GetStale), "scan|get stale", nil},
		{fault.On(fault.Every), "every", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{fault.OnKey("key3"), `key "key3"`, []int{3}},
		{fault.OnPrefix("key"), `prefix "key"`, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{fault.Nth(3), "nth 3", []int{2}},
		{fault.Until(2), "until 2", []int{0, 1}},
		{fault.And(fault.On(fault.Add), fault.Nth(2)), "(add and nth 2)", []int{4}},
		{fault.And(fault.Nth(2), fault.On(fault.Add)), "(nth 2 and add)", []int{1}},
		{fault.Or(fault.OnKey("key5"), fault.Nth(2)), `(key "key5" or nth 2)`, []int{1, 5}},
		{fault.Not(fault.On(fault.Writes)), "not writes", []int{0, 3, 6, 9}},
		{fault.Randomly(0, 1), "randomly 0 seed 1", nil},
		{fault.Randomly(1, 1), "randomly 1 seed 1", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{fault.And(), "()", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{fault.Or(), "()", nil},
	} {
		if got := tc.p.String(); got != tc.text {
			t.Errorf("%s is printed as %s", tc.text, got)
		}
		if got := hits(tc.p, 10, fault.Get, fault.Add, fault.Place); !slices.Equal(got, tc.wanted) {
			t.Errorf("%v is true of %v, want %v", tc.p, got, tc.wanted)
		}
	}
}

func TestASeedRepeatsItsChoices(t *testing.T) {
	t.Parallel()
	a, b := hits(fault.Randomly(0.3, 7), 1000, fault.Get), hits(fault.Randomly(0.3, 7), 1000, fault.Get)
	if !slices.Equal(a, b) || len(a) < 200 || len(a) > 400 {
		t.Errorf("%d and %d of 1000, want the same 300 or so", len(a), len(b))
	}
	if other := hits(fault.Randomly(0.3, 8), 1000, fault.Get); slices.Equal(a, other) {
		t.Error("another seed chooses the same")
	}
}

func TestInjectorsPrintAsTheyRead(t *testing.T) {
	t.Parallel()
	c := make(chan struct{})
	for _, tc := range []struct {
		i      fault.Injector
		wanted string
	}{
		{fault.Fault{}, "nothing"},
		{fault.Fail(nil), "fail"},
		{fault.Drop(errors.New("boo")), `drop, with "boo"`},
		{fault.Lose(nil).With(fault.Delay(time.Second)).With(fault.Hold(c)), "delay 1s, hold, lose"},
		{fault.Late(nil, time.Second), "late 1s"},
		{fault.LateUntil(nil, c), "late until released"},
		{fault.Again(time.Minute), "again 1m0s"},
		{fault.AgainUntil(c), "again until released"},
		{fault.Corrupt(), "lie corrupt"},
		{fault.Miss().If(fault.Nth(1)), "lie miss if nth 1"},
		{fault.First(fault.Fail(nil).If(fault.On(fault.Scan)), fault.Delay(1)), "first of (fail if scan; delay 1ns)"},
		{fault.NewToggle(fault.Fail(nil)), "toggled (fail)"},
		{fault.NewCounter(fault.Fail(nil)), "fail"},
	} {
		if got := tc.i.String(); got != tc.wanted {
			t.Errorf("%q, want %q", got, tc.wanted)
		}
	}
}

func TestTheFirstThatInjectsHidesTheOthers(t *testing.T) {
	t.Parallel()
	last := fault.NewCounter(fault.Fail(nil))
	i := fault.First(fault.Delay(time.Second).If(fault.Nth(2)), fault.Fault{}, last)
	var printed []string
	for range 3 {
		printed = append(printed, i.Inject(fault.Op{Kind: fault.Get}).String())
	}
	if !slices.Equal(printed, []string{"fail", "delay 1s", "fail"}) || last.Injected() != 2 {
		t.Errorf("%q, and the last injected %d", printed, last.Injected())
	}
}

func TestAToggleAndACounterAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	toggle := fault.NewToggle(fault.Fail(nil).If(fault.Randomly(0.5, 1)))
	counter := fault.NewCounter(toggle)
	if f := counter.Inject(fault.Op{}); f.String() != "nothing" || counter.Injected() != 0 {
		t.Errorf("a toggle that is off injects %v", f)
	}
	toggle.On()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { // ends by itself, waited for below
			for range 1000 {
				counter.Inject(fault.Op{Kind: fault.Get})
			}
		})
	}
	wg.Wait()
	toggle.Off()
	if n := counter.Injected(); n < 3500 || n > 4500 {
		t.Errorf("%d of 8000 injected, want half", n)
	}
	if f := counter.Inject(fault.Op{}); f.String() != "nothing" {
		t.Errorf("a toggle that is off again injects %v", f)
	}
}
