// Package jitter draws the times by which nodes that wait for the same thing keep out of each other's step.
//
// A simulation in virtual time has to be the same whenever it is run with the same seed: there, by [FromClock], what is drawn
// follows from the moment at which it is drawn.
package jitter

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

var fromClock atomic.Bool

// FromClock makes every draw a function of the clock, until the function that it returns is called. It is the whole process's,
// and for tests.
func FromClock() (restore func()) {
	before := fromClock.Swap(true)
	return func() { fromClock.Store(before) }
}

// N returns a time from [0, n). n must be positive.
func N(n time.Duration) time.Duration {
	if !fromClock.Load() {
		return rand.N(n)
	}
	return time.Duration(rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(n))).Int64N(int64(n)))
}
