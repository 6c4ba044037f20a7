// Package sentinel declares every error value that more than one package of strata reports, once. The leaves and package
// tier alias those they use, so that errors.Is finds them through every layer without the leaves knowing each other.
package sentinel

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is a source's answer: it has no such value.
	ErrNotFound = errors.New("not found")

	// ErrNotWritten is a source's answer: it was not changed, and will not be.
	ErrNotWritten = errors.New("not written")

	// ErrConflict is a source's answer: it has something else than what was to be replaced, and was not changed.
	ErrConflict = errors.New("conflict")

	// ErrContended says that others changed a key again and again while this call tried to.
	ErrContended = errors.New("contended")

	// ErrRejected is a source's answer: it does not take this change. It says more than ErrNotWritten, which it comes with.
	ErrRejected = fmt.Errorf("rejected: %w", ErrNotWritten)

	// ErrUnavailable says that a server could not be reached or did not answer in time.
	ErrUnavailable = errors.New("unavailable")

	// ErrDenied says that a server does not let the user in, or not do what was asked. Until somebody changes that, trying
	// again does not help.
	ErrDenied = errors.New("denied")

	// ErrUnsupported says that this backend, transport or source cannot do what was asked, whatever its state.
	ErrUnsupported = errors.New("unsupported")

	// ErrTooLarge says that a value or key is larger than what the backend stores.
	ErrTooLarge = errors.New("too large")

	// ErrColdCache says that there is no value yet and that somebody else is computing it.
	ErrColdCache = errors.New("cold cache")

	// ErrInvalidationPending says that the source was written and that other nodes may not know it yet.
	ErrInvalidationPending = errors.New("invalidation pending")

	// ErrJournalFull says that as many writes are pending as may be.
	ErrJournalFull = errors.New("journal full")

	// ErrClosed says that the cache, store or bus was closed.
	ErrClosed = errors.New("closed")
)
