//go:build !linux

package redisconn

import (
	"syscall"
	"time"
)

// userTimeout does nothing where the option does not exist: there the timeouts of calls and the bus's heartbeats notice a
// dead connection alone.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
