// Package clock reads one monotonic clock in all processes of a machine, so that what they record can be put in one order.
package clock

import "time"

// base and baseAt are one instant, as this process and as the machine counts it.
var base, baseAt = calibrate()

// calibrate reads both clocks. They run alike, so once is enough; of several readings the one with the shortest gap counts.
func calibrate() (time.Time, int64) {
	var at time.Time
	var machine int64
	shortest := time.Duration(1<<63 - 1)
	for range 100 {
		before := time.Now()
		m := system()
		if gap := time.Since(before); gap < shortest {
			shortest, at, machine = gap, before, m
		}
	}
	return at, machine
}

// Now returns the time in nanoseconds. Its zero means nothing.
func Now() int64 { return baseAt + int64(time.Since(base)) }
