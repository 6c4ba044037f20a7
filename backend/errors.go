package backend

import "github.com/strata-cache/strata/internal/sentinel"

// Errors that a Store reports; errors.Is finds them. A context's own error is reported as it is.
var (
	// ErrUnavailable says that a server could not be reached or did not answer in time. It is never a miss.
	ErrUnavailable = sentinel.ErrUnavailable

	// ErrDenied says that the server does not let the user in, or not do what was asked. It is never a miss. Who is not let
	// in at all finds the server unavailable, too.
	ErrDenied = sentinel.ErrDenied

	// ErrUnsupported says that this backend lacks the capability.
	ErrUnsupported = sentinel.ErrUnsupported

	// ErrTooLarge says that the backend does not store records of that size.
	ErrTooLarge = sentinel.ErrTooLarge

	// ErrClosed says that the Store was closed.
	ErrClosed = sentinel.ErrClosed
)
