package server

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by lifecycle calls on a Server that was closed.
	ErrClosed = errors.New("server: closed")

	// ErrNotRunning is returned by Kill, Pause and Resume when no process runs.
	ErrNotRunning = errors.New("server: not running")

	// ErrNotOwned is returned by lifecycle calls on a Server made by Attach: who did not start a process must not stop
	// it, because others use it too.
	ErrNotOwned = errors.New("server: not started by this process")
)

// MissingError says that something a server needs is not installed on this machine.
type MissingError struct {
	// Name is what was looked for: a binary or a jar file.
	Name string
	// Component is the argument of scripts/setup that installs it.
	Component string
	// Err is why the search failed; may be nil.
	Err error
}

// Install is the command, run in the folder of the module, that installs what is missing.
func (e *MissingError) Install() string { return "scripts/setup " + e.Component }

// Error names what is missing and the command that installs it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("server: %s not found: install it with %s", e.Name, e.Install())
}

// Unwrap returns the reason why the search failed.
func (e *MissingError) Unwrap() error { return e.Err }
