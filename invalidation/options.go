package invalidation

import (
	"fmt"
	"log/slog"
	"time"
)

// DefaultMaxStaleness paces the heartbeats of a bus to which no cache is attached.
const DefaultMaxStaleness = 3 * time.Second

// MinMaxStaleness is the smallest bound that can be attached with: below it heartbeats would be most of the traffic.
const MinMaxStaleness = 50 * time.Millisecond

// heartbeatsPerBound is how many heartbeats are sent within the smallest attached bound: four may be late or lost.
const heartbeatsPerBound = 5

// Options are the settings of a Bus. A nil *Options and the zero value of every field mean the default.
type Options struct {
	// Logger gets a line for each change of state: subscribed, unavailable, silent, mismatched. Default: none.
	Logger *slog.Logger

	// Heartbeat is the time between heartbeats. It must be well below every attached bound, or caches are not trusted
	// between two of them. Default, also for a negative value: a fifth of the smallest attached bound.
	Heartbeat time.Duration

	// Keys authenticate all that travels: frames are signed under the first key of the ring, and only those count that are signed
	// under one of its keys. A frame counts once, in the log for which it was signed; docs/security.md says what that prevents.
	// All nodes of a fleet need a key that the others accept; see AcceptUnsigned. Default: frames are neither signed nor checked.
	Keys *Keyring

	// AcceptUnsigned makes unsigned frames count beside signed ones, for the time in which a fleet is given its first key: until
	// all nodes have one. Whoever can publish can invalidate meanwhile. It means nothing without Keys. Default: they do not count.
	AcceptUnsigned bool

	// OnEvent is told what happens, in order, from goroutines of the bus: it must not block, nor close the bus.
	// Default: nobody.
	OnEvent func(Event)
}

// EventKind says what happened.
type EventKind uint8

// What can happen to a bus.
const (
	// EventFlush: caches were flushed; Reason says why, and Err why what was missed could not be had again, if that was tried.
	EventFlush EventKind = iota + 1
	// EventUnavailable: the subscription or a heartbeat failed with Err; reported once until it works again.
	EventUnavailable
	// EventSilence: nothing this node sent came back for as long as the smallest bound; the subscription is replaced.
	EventSilence
	// EventDropped: Frames frames that Node says it sent, or others, did not count, for one of the Drop… reasons. Told once a
	// second at most for each reason.
	EventDropped
	// EventMismatch: Node attached Cache with another fingerprint; reported once for each node and fingerprint.
	EventMismatch
	// EventReplay: Frames frames were missed and had again, for the Reason for which caches would have been flushed.
	EventReplay
	// EventUnauthenticated is EventDropped for frames that are not signed under a key of the ring: a stranger's, or those of a node
	// that has no key, or another.
	EventUnauthenticated
)

var eventNames = map[EventKind]string{
	EventFlush: "flush", EventUnavailable: "unavailable", EventSilence: "silence", EventDropped: "dropped",
	EventMismatch: "mismatch", EventReplay: "replay", EventUnauthenticated: "unauthenticated",
}

// String is the kind's name.
func (k EventKind) String() string { return eventNames[k] }

// Event is something that operators may want to know. Fields that do not belong to its Kind are zero.
type Event struct {
	Kind   EventKind
	Reason string
	Cache  string
	Node   NodeID
	Frames int
	Err    error
}

// String is a line for people.
func (e Event) String() string {
	s := e.Kind.String()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Frames > 0 {
		s += fmt.Sprintf(" %d frames", e.Frames)
	}
	if e.Cache != "" {
		s += fmt.Sprintf(" cache %q", e.Cache)
	}
	if e.Node != (NodeID{}) {
		s += " node " + e.Node.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
