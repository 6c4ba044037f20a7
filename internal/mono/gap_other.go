//go:build !linux

package mono

import "time"

// gap returns by how much a clock that counts suspends is ahead of Go's: here none is known.
func gap() time.Duration { return 0 }
