package memcachedconn

import (
	"context"
	"errors"
	"strings"

	"github.com/strata-cache/strata/internal/sentinel"
)

// An UnavailableError says that a server could not be reached, did not answer in time, or answered what makes no sense. It
// is sentinel.ErrUnavailable.
type UnavailableError struct {
	Server string
	Cause  error
}

func (e *UnavailableError) Error() string {
	return "memcached " + e.Server + ": unavailable: " + e.Cause.Error()
}

// Unwrap hides a context's error in the cause: it was ours or the dialler's, and a caller whose own context is alive must
// not take it for its own.
func (e *UnavailableError) Unwrap() []error {
	if errors.Is(e.Cause, context.DeadlineExceeded) || errors.Is(e.Cause, context.Canceled) {
		return []error{sentinel.ErrUnavailable}
	}
	return []error{sentinel.ErrUnavailable, e.Cause}
}

// A ReplyError is an answer of a server that says what went wrong.
type ReplyError struct {
	Server string
	Reply  string // the line, such as "SERVER_ERROR object too large for cache"
}

func (e *ReplyError) Error() string { return "memcached " + e.Server + ": " + e.Reply }

// Unwrap returns sentinel.ErrTooLarge if that is what the reply says, sentinel.ErrUnavailable for any other failure of
// the server, and nil where it is the request that the server did not like.
func (e *ReplyError) Unwrap() error {
	switch {
	case e.Reply == replyTooLarge:
		return sentinel.ErrTooLarge
	case strings.HasPrefix(e.Reply, "SERVER_ERROR"):
		return sentinel.ErrUnavailable
	}
	return nil
}

// NothingDone reports whether the reply says that a command to store was not obeyed. Other replies leave it open: they
// may be those of a proxy.
func (e *ReplyError) NothingDone() bool { return e.Reply == replyTooLarge || e.Reply == replyNoMemory }

const (
	replyTooLarge = "SERVER_ERROR object too large for cache"
	replyNoMemory = "SERVER_ERROR out of memory storing object"
)

// ErrCredentials says that a server does not take the user name and password, or wants some.
var ErrCredentials = errors.New("the server does not accept the user name and password, or wants some")

var (
	errCut        = errors.New("cut off until a change of the pool is done")
	errNoAnswer   = errors.New("no answer in time")
	errBusy       = errors.New("all connections are busy")
	errForeign    = errors.New("a reply for a key that was not asked for")
	errMoved      = errors.New("the server lost its data")
	errHandshake  = errors.New("not what a memcached server answers")
	errTwice      = errors.New("connection used after its end")
	errLongLine   = errors.New("a line of the reply is too long")
	errLongValue  = errors.New("a value in the reply is longer than the item size")
	errManyValues = errors.New("more values in the reply than keys asked for")
)
