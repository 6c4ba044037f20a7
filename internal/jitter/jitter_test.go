package jitter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/jitter"
)

func TestDrawsStayBelowTheirBound(t *testing.T) { // not parallel: where draws come from is the process's
	within := func(t *testing.T) (drawn map[time.Duration]bool) {
		drawn = map[time.Duration]bool{}
		for range 100 {
			d := jitter.N(time.Second)
			if d < 0 || d >= time.Second {
				t.Fatal(d)
			}
			drawn[d] = true
		}
		return drawn
	}
	if len(within(t)) < 50 {
		t.Error("draws repeat")
	}
	defer jitter.FromClock()()
	synctest.Test(t, func(t *testing.T) {
		first := within(t)
		time.Sleep(time.Nanosecond)
		second := within(t)
		if len(first) != 1 || len(second) != 1 || first[jitter.N(time.Second)] {
			t.Errorf("at one moment %v, at the next %v", first, second)
		}
	})
}
