package invalidation

import (
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/sentinel"
)

// The errors that callers of this package look for, with errors.Is.
var (
	// ErrClosed: the bus or the attachment was closed.
	ErrClosed = sentinel.ErrClosed
	// ErrUnavailable: the transport's server did not take the announcement, or did not say so. The outcome is unknown.
	ErrUnavailable = sentinel.ErrUnavailable
	// ErrTooLarge: a key, a list of keys or a register's value is beyond its bound.
	ErrTooLarge = sentinel.ErrTooLarge
	// ErrUnsupported: the transport lacks the ability, whatever its state.
	ErrUnsupported = sentinel.ErrUnsupported
)

// ErrAttached: a cache of this name is attached to the bus already. Two caches of one name in a process would each hear only
// half of what they must.
var ErrAttached = errors.New("a cache of this name is attached already")

// ErrGone: the log no longer holds what was missed.
var ErrGone = errors.New("the log does not reach back to what was missed")

// mismatchError says which options differ.
type mismatchError struct{ cache, ours, theirs string }

func (e *mismatchError) Error() string {
	return fmt.Sprintf("cache %q has fingerprint %q here and %q there: the two do not keep each other coherent", e.cache, e.ours, e.theirs)
}
