package hazelcastconn

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/hazelcast/hazelcast-go-client/hzerrors"

	"github.com/strata-cache/strata/internal/hazelcastconn/relay"
	"github.com/strata-cache/strata/internal/sentinel"
)

// NotSent reports whether a failed call certainly had no effect and never will: there was no connection, or a member said
// that it did not run it. False means unknown.
func NotSent(err error) bool {
	var never *neverError
	var waiting *notConnectedError
	if errors.As(err, &never) || errors.As(err, &waiting) {
		return true
	}
	var u *unavailableError
	if !errors.As(err, &u) || u.cause == nil {
		return false
	}
	for _, refusal := range refusals {
		if errors.Is(u.cause, refusal) {
			return true
		}
	}
	return false
}

// refused reports whether a member does not let this client in, or the client does not trust it. Waiting would not help: the
// supervisor goes on to try.
func refused(err error) bool {
	var r *relay.RefusedError
	var certificate *tls.CertificateVerificationError
	var alert *net.OpError // of the other side, which did not like our certificate
	return errors.As(err, &r) || errors.As(err, &certificate) || errors.As(err, &alert) && alert.Op == "remote error"
}

// refusals say that a request was turned away before it ran: by the client, which has no connection (the first two), or by a
// member that does not own the partition now. All others may come after the fact.
var refusals = []error{
	hzerrors.ErrRetryableIO, hzerrors.ErrClientNotActive,
	hzerrors.ErrWrongTarget, hzerrors.ErrPartitionMigrating, hzerrors.ErrTargetNotMember, hzerrors.ErrCallerNotMember,
}

// answers say that a working cluster will not do what was asked, however often it is asked.
var answers = []error{
	hzerrors.ErrIllegalArgument, hzerrors.ErrHazelcastSerialization, hzerrors.ErrClassCast, hzerrors.ErrClassNotFound,
	hzerrors.ErrSecurity, hzerrors.ErrAccessControl, hzerrors.ErrQuery, hzerrors.ErrQueryResultSizeExceeded,
	hzerrors.ErrUnsupportedOperation, hzerrors.ErrMaxMessageSizeExceeded, hzerrors.ErrNotSerializable,
	hzerrors.ErrInvalidConfiguration,
}

func isAnswer(err error) bool {
	var unsuitable *UnsuitableError
	if errors.As(err, &unsuitable) {
		return true
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// UnsuitableError is what a function given to Do returns when it cannot use what the map holds. It is
// sentinel.ErrUnavailable, and asking again does not help.
type UnsuitableError struct{ Text string }

func (e *UnsuitableError) Error() string { return e.Text }

// Unwrap returns sentinel.ErrUnavailable: what strata did not write is no answer to it.
func (e *UnsuitableError) Unwrap() error { return sentinel.ErrUnavailable }

// unavailableError says why there was no answer.
type unavailableError struct {
	server string
	text   string
	cause  error // nil when the time was over
}

func (e *unavailableError) Error() string {
	return "hazelcastconn: " + e.server + ": unavailable: " + e.text
}

func (e *unavailableError) Unwrap() []error {
	if e.cause == nil {
		return []error{sentinel.ErrUnavailable}
	}
	return []error{sentinel.ErrUnavailable, e.cause}
}

// notConnectedError says that there was no connection in time. The cause may be a timeout of a dial, which a caller whose
// own context is alive must not take for its own, so it is only text.
type notConnectedError struct {
	server string
	cause  error
}

func (e *notConnectedError) Error() string {
	text := "hazelcastconn: " + e.server + ": unavailable: not connected"
	if e.cause != nil {
		text += ": " + firstLines(e.cause.Error())
	}
	return text
}

// Unwrap shows of the cause only what is no context's.
func (e *notConnectedError) Unwrap() []error {
	if refused(e.cause) {
		return []error{sentinel.ErrUnavailable, e.cause}
	}
	return []error{sentinel.ErrUnavailable}
}

// answerError shortens the text of an answer, which holds the member's stack trace.
type answerError struct{ cause error }

func (e *answerError) Error() string { return firstLines(e.cause.Error()) }
func (e *answerError) Unwrap() error { return e.cause }

// neverError marks a context's error of a call that was not sent.
type neverError struct{ error }

func notSent(err error) error { return &neverError{err} }

func (e *neverError) Unwrap() error { return e.error }

// lostError is an error of a call whose connection was lost, with the reason why.
type lostError struct{ err, cause error }

func (e *lostError) Error() string { return e.cause.Error() }
func (e *lostError) Unwrap() error { return e.err }
