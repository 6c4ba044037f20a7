package mono

import (
	"time"

	"golang.org/x/sys/unix"
)

// gap returns by how much the clock that counts suspends is ahead of Go's, or less.
func gap() time.Duration {
	var with, without unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &with) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &without) != nil {
		return 0
	}
	return time.Duration(with.Nano() - without.Nano())
}
