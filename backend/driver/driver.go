// Package driver is what a remote tier must do for package backend. Applications never import it.
//
// A driver stores records: short byte strings whose header carries a [record.Token]. It knows nothing of values, codecs,
// caches or the bus. Everything that must be atomic is one [Op]; everything else is built above, once, for all drivers.
//
// The required core is [Driver]. Anything else a server can do is a capability: one of the small interfaces in
// capability.go, found by [As], and missing where the server lacks it.
package driver

import (
	"context"

	"github.com/strata-cache/strata/backend/record"
)

// An Op is one atomic step at one key.
type Op struct {
	// Key is 1 to [MaxKey] bytes, none of them a space or control byte: package backend escapes. What is between the
	// first '{' and the next '}' decides which server owns the key, where there are several.
	Key string

	// Step is complete: package backend has filled Fresh, and checked that TTL is positive. A driver may keep a record
	// longer than TTL, never shorter: the header's expiry decides.
	record.Step
}

// MaxKey is the length of the longest key that a driver is given.
const MaxKey = 200

// An Outcome is what became of an [Op].
type Outcome uint8

const (
	Unknown Outcome = iota // sent, no clear answer: it may have happened, or may still happen
	Done                   // happened
	Refused                // did not happen and never will: Effect.Found was there
	Unsent                 // did not happen and never will: nothing was sent, or the server said that it did nothing
)

func (o Outcome) String() string {
	if names := [...]string{"unknown", "done", "refused", "unsent"}; int(o) < len(names) {
		return names[o]
	}
	return "invalid"
}

// An Effect is the outcome of one [Op].
type Effect struct {
	Outcome Outcome
	Found   []byte // if Refused: the record that was there, nil for none; belongs to the caller
	Err     error  // why the outcome is Unknown or Unsent, else nil
}

// A Result is what Get found at a key.
type Result struct {
	Record []byte // nil for nothing
	Err    error  // this key's server failed; Record is nil
}

// A Driver is a connection to one remote tier. Its methods are called concurrently.
//
// A method returns promptly when ctx ends, by deadline or by cancellation, even in the middle of a round trip, and
// reports what it then knows: the error is then ctx's own. It sends each Op at most once: an Op repeated by a retrying
// client would meet its own first attempt. A server that cannot be reached, or does not answer within the driver's own
// timeout (default 500 ms), is an error that is sentinel.ErrUnavailable, never a missing record. No error carries a
// password.
type Driver interface {
	// Get returns one result for each key, in order: a nil Record where there is none. Keys are distinct. It returns
	// records as they are, expired ones too. The returned bytes belong to the caller. It costs one round trip for
	// each server that owns some of the keys.
	Get(ctx context.Context, keys []string) []Result

	// Write applies each op by itself and returns its effect, in order. A failure of one does not stop the others.
	// Ops at the same key are applied in order. A driver that has only a compare-and-swap of its own runs the verbs by
	// [Loop].
	Write(ctx context.Context, ops []Op) []Effect

	// Ping makes one round trip to every server, and names those that failed.
	Ping(ctx context.Context) error

	// String names the servers, without any secret.
	String() string

	// Close ends all calls, waits for them, and frees what Open made. Calls after it fail with sentinel.ErrClosed. It
	// is idempotent and safe against all other methods.
	Close() error
}
