//go:build unix

package filejournal_test

import (
	"errors"
	"os/signal"
	"syscall"
	"testing"

	"github.com/strata-cache/strata/policy/journal"
)

// limit makes writes beyond so many bytes of a file fail, as on a disk without room.
func limit(t *testing.T, n uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
}

func isRefused(err error) bool {
	return errors.Is(err, journal.ErrNotWritten) && errors.Is(err, journal.ErrUnavailable)
}
