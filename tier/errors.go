package tier

import (
	"errors"
	"strconv"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Errors that a cache reports; errors.Is finds them through every layer. Context errors are reported as they are.
var (
	// ErrNotFound says that the source has no such value, or that there is no source and nothing is cached.
	ErrNotFound = sentinel.ErrNotFound

	// ErrNotWritten says that the source was not changed, and will not be by what was asked.
	ErrNotWritten = sentinel.ErrNotWritten

	// ErrUnavailable says that a server could not be reached or did not answer in time. It is never a miss.
	ErrUnavailable = sentinel.ErrUnavailable

	// ErrDenied says that a server does not let the user in, or not do what was asked.
	ErrDenied = sentinel.ErrDenied

	// ErrUnsupported says that the remote tier or the source cannot do what was asked.
	ErrUnsupported = sentinel.ErrUnsupported

	// ErrTooLarge says that the remote tier does not store values of that size.
	ErrTooLarge = sentinel.ErrTooLarge

	// ErrColdCache says that there is no value yet and that somebody else is computing it.
	ErrColdCache = sentinel.ErrColdCache

	// ErrContended says that others changed the key again and again while this call tried to, and that it has changed nothing.
	ErrContended = sentinel.ErrContended

	// ErrInvalidationPending says that older values could not be taken away everywhere yet. This node serves none, and repairs
	// the key behind until nobody does; other nodes may serve them until then.
	ErrInvalidationPending = sentinel.ErrInvalidationPending

	// ErrJournalFull says that as many writes are pending as may be, under policy.WriteBehind.
	ErrJournalFull = sentinel.ErrJournalFull

	// ErrClosed says that the cache was closed.
	ErrClosed = sentinel.ErrClosed
)

// An Error says which step of which operation failed, on which key.
type Error struct {
	Op   string // "get", "set", "invalidate", …
	Tier string // "local", "remote", "source", "bus" or "journal"
	Key  string // as the remote tier has it, "" for all; shortened and quoted in Error
	Err  error
}

func (e *Error) Error() string {
	return "tier: " + e.Op + " " + quoteKey(e.Key) + ": " + e.Tier + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// maxKeyInError keeps one bad key from filling a log.
const maxKeyInError = 64

func quoteKey(k string) string {
	if len(k) > maxKeyInError {
		return strconv.Quote(k[:maxKeyInError]) + "…"
	}
	return strconv.Quote(k)
}

// A PanicError is what callers get if a loader panicked, or a function of Options while the cache worked for them on a
// goroutine of its own. It has the value of the panic and its stack.
type PanicError = sentinel.PanicError

// errGoexit is for a loader that ended its goroutine.
var errGoexit = errors.New("loader ended its goroutine")
