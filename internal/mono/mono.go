// Package mono reads the monotonic clock as a plain number, which fits in an atomic and costs about half of what a
// time.Time does to compare. Deadlines that coherence depends on are kept in it: a wall clock may be set back.
//
//	deadline := mono.Now() + 3*time.Second
//	expired := mono.Now() >= deadline
//
// The numbers mean nothing in another process, and the clock stands still while a virtual machine is suspended.
package mono

import "time"

// base is the zero of this process. Inside a testing/synctest bubble the difference to it is still a monotonic number.
var base = time.Now()

// Now returns the time since the process began.
func Now() time.Duration { return time.Since(base) }

// Of returns the reading that Now would have given at t, which must carry a monotonic reading (be a time.Now()).
func Of(t time.Time) time.Duration { return t.Sub(base) }
