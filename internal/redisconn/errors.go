package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Classify turns an error of the library into one of four kinds: nil stays nil; a context's error passes untouched; a server
// that cannot be reached, does not answer or says that it cannot serve now (LOADING, READONLY, …) wraps
// sentinel.ErrUnavailable and the cause; a closed client wraps sentinel.ErrClosed. Anything else is an answer (redis.Nil, an
// error of a script, NOAUTH) and passes untouched. Call does this already.
func Classify(err error) error {
	switch classOf(err) {
	case ofContext, answered:
		return err
	case closedClient:
		return &closedError{cause: err}
	default:
		return &unavailableError{cause: err}
	}
}

// NotSent reports whether a failed command certainly did not reach a server: no connection was made or could be used, or
// none was free, or the client was closed. False means unknown.
func NotSent(err error) bool {
	var unused *connectError
	return isDial(err) || errors.As(err, &unused) || isOurs(err) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed) || errors.Is(err, sentinel.ErrClosed)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

type class int

const (
	answered class = iota // nil included
	ofContext
	closedClient
	unreachable
)

// refusals are the replies of a server that works but cannot serve now.
var refusals = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "BUSY",
	"max number of clients reached", "OOM", "MOVED", "ASK",
}

func classOf(err error) class {
	var reply redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, sentinel.ErrUnavailable): // the last: classified before
		return answered
	case errors.Is(err, redis.ErrClosed), errors.Is(err, sentinel.ErrClosed):
		return closedClient
	case isOurs(err):
		return unreachable
	case isDial(err) && !errors.Is(err, context.Canceled):
		return unreachable // a dial that timed out is both a dial error and a deadline
	case isContext(err):
		return ofContext
	case errors.As(err, &reply):
		for _, prefix := range refusals {
			if HasPrefix(err, prefix) && !HasPrefix(err, "BUSYGROUP") {
				return unreachable
			}
		}
		return answered
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted), errors.Is(err, net.ErrClosed), isNet(err),
		errors.As(err, new(tls.RecordHeaderError)):
		return unreachable
	case strings.HasPrefix(err.Error(), "redis: "):
		return unreachable // the library could not make sense of what came over the connection
	default:
		return answered // what fn itself made of an answer
	}
}

// HasPrefix reports whether err is, or wraps, an answer of the server that begins so. What a script passed on counts as if the
// command had been sent alone: Redis 6 puts its line in front of it.
func HasPrefix(err error, prefix string) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := strings.TrimPrefix(reply.Error(), "ERR ")
	if strings.HasPrefix(text, "@user_script: ") || strings.HasPrefix(text, "Error running script") {
		if at := strings.LastIndex(text, "@user_script: "); at >= 0 {
			text = strings.TrimLeft(text[at+len("@user_script: "):], "0123456789")
			text = strings.TrimPrefix(strings.TrimPrefix(text, ": "), "-")
		}
	}
	return strings.HasPrefix(text, prefix)
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// unavailableError says which server failed and why; both it and its cause are found with errors.Is.
type unavailableError struct {
	server string
	cause  error
}

func (e *unavailableError) Error() string {
	if e.server == "" {
		return "redisconn: unavailable: " + e.cause.Error()
	}
	return "redisconn: " + e.server + ": unavailable: " + e.cause.Error()
}

// Unwrap hides a context's error in the cause: it was ours or the dialler's, and a caller whose own context is alive must
// not take it for its own.
func (e *unavailableError) Unwrap() []error {
	if isContext(e.cause) {
		var dialled *net.OpError
		if errors.As(e.cause, &dialled) {
			return []error{sentinel.ErrUnavailable, &net.OpError{Op: dialled.Op, Net: dialled.Net, Addr: dialled.Addr, Err: errGivenUp}}
		}
		return []error{sentinel.ErrUnavailable}
	}
	return []error{sentinel.ErrUnavailable, e.cause}
}

var errGivenUp = errors.New("given up")

// connectError says that a connection was made and cannot or must not be used.
type connectError struct{ cause error }

func (e *connectError) Error() string { return "new connection: " + e.cause.Error() }

// Unwrap returns a list because the library takes the outermost layer off what fails while it greets a server, unless that
// wraps several.
func (e *connectError) Unwrap() []error { return []error{e.cause} }

// lookupError says that nobody told which servers there are.
type lookupError struct {
	what   string
	causes []error // of each that was asked
}

func (e *lookupError) Error() string {
	texts := make([]string, len(e.causes))
	for i, cause := range e.causes {
		texts[i] = cause.Error()
	}
	return "find " + e.what + ": " + strings.Join(texts, "; ")
}

// Unwrap hides a context's error: it is the question's, and a caller must not take it for its own.
func (e *lookupError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e.causes), isContext)
}

// isOurs reports whether err is an outage that this package noticed by itself.
func isOurs(err error) bool {
	var none *credentialsError
	var lost *lookupError
	return errors.As(err, &none) || errors.As(err, &lost) || errors.Is(err, errReplica) || errors.Is(err, errNoOwner)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// closedError is sentinel.ErrClosed with the library's words.
type closedError struct{ cause error }

func (e *closedError) Error() string   { return "redisconn: closed: " + e.cause.Error() }
func (e *closedError) Unwrap() []error { return []error{sentinel.ErrClosed, e.cause} }
