package clock

import "golang.org/x/sys/unix"

// system is the clock from which Go's monotonic readings come. Every process sees the same.
func system() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}
