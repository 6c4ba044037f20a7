// Package mono reads a monotonic clock as a plain number, which fits in an atomic and costs about half of what a
// time.Time does to compare. Deadlines that coherence depends on are kept in it: a wall clock may be set back.
//
//	deadline := mono.Now() + 3*time.Second
//	expired := mono.Now() >= deadline
//
// The numbers mean nothing in another process. Go's own clock stands still while the machine is suspended. On Linux this one
// counts that time: it looks at CLOCK_BOOTTIME, at most once a millisecond, which costs a reading of the clock 0.3 ns on
// average. So what reads it more than a millisecond of running time after the machine resumed finds past every deadline that is. Where
// the kernel itself is not told, as when a hypervisor stops all of a guest's clocks, nobody is; nor is this on other systems.
package mono

import (
	"sync/atomic"
	"time"
)

// base is the zero of this process. Inside a testing/synctest bubble the difference to it is still a monotonic number.
var base = time.Now()

// checked is when it was last asked whether the machine was suspended, and slept how long it has been, by Go's clock since base.
var checked, slept atomic.Int64

// each is how long nobody asks after that.
const each = time.Millisecond

// Now returns the time since the process began.
func Now() time.Duration {
	n := time.Since(base)
	if uint64(int64(n)-checked.Load()+int64(each)) < uint64(2*each) {
		return n + time.Duration(slept.Load())
	}
	return look(n)
}
