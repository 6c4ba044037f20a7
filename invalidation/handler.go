package invalidation

import "time"

// Handler is what a cache attaches. All calls come from one goroutine of the bus, in the order of the log, and delay every
// cache on it: a handler must not block, and must not call Close of the Bus or of its Attachment.
type Handler interface {
	// Apply hands over a message for this cache. own says that this very node announced it.
	Apply(pos Position, own bool, m Message)

	// Flush says that messages may have been missed: nothing held now may be served again. reason is one of the Flush…
	// constants.
	Flush(reason string)

	// Trust says that everything announced before sent was applied by this node: what is held may be served until
	// sent + MaxStaleness. sent carries a monotonic reading and never moves back.
	Trust(sent time.Time)
}

// MismatchHandler is an optional ability of a Handler: to hear that another node attached a cache of the same name with
// another fingerprint. The two would not keep each other coherent, so a cache should run without its local tier. It is
// called at each heartbeat that says so, about every fifth of the other node's MaxStaleness.
type MismatchHandler interface {
	Mismatched(name, theirs string)
}

// Why handlers were flushed. After the first subscription, the first two are for what could not be had again from the log.
const (
	// FlushSubscribed: a subscription began, the first included; what was announced before it was not heard.
	FlushSubscribed = "subscribed"
	// FlushGap: a position was skipped, or its frame could not be read.
	FlushGap = "gap"
	// FlushIncarnation: the log is another one than before.
	FlushIncarnation = "incarnation"
	// FlushVerb: a message for this cache, and no other, has a verb of a later version.
	FlushVerb = "verb"
)
