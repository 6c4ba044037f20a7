package main

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/tier"
)

// Exit codes. The help of the root command lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 4
	exitInterrupted = 130
)

// usageError is a mistake in how the command was called.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usage marks err, if there is one, as a mistake in how the command was called.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// errInterrupted says that the user ended the command.
var errInterrupted = errors.New("interrupted")

// exitCode returns what err means to the shell.
func exitCode(err error) int {
	var u usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &u):
		return exitUsage
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, tier.ErrNotFound):
		return exitNotFound
	case errors.Is(err, tier.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	return exitFailure
}
