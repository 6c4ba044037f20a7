package invalidation

import (
	"encoding/hex"
	"fmt"
)

// NodeID is one Bus in one process, random for each.
type NodeID [16]byte

// String is the first half in hexadecimal.
func (n NodeID) String() string { return hex.EncodeToString(n[:8]) }

// Verb says what a message asks its receivers to do.
type Verb uint8

// The verbs. Their numbers are part of the wire format.
const (
	// VerbInvalidate: never serve what you hold of these keys again.
	VerbInvalidate Verb = 1
	// VerbExpire: a newer value of these keys is wanted; the old one may serve under the rules for stale values.
	VerbExpire Verb = 2
	// VerbTag: never serve what carries one of these tags and was loaded before this position.
	VerbTag Verb = 3
	// VerbClear: never serve anything of this cache that was loaded before this position.
	VerbClear Verb = 4
)

var verbNames = map[Verb]string{
	VerbInvalidate: "invalidate", VerbExpire: "expire", VerbTag: "tag", VerbClear: "clear",
}

// String is the verb's name.
func (v Verb) String() string {
	if name, ok := verbNames[v]; ok {
		return name
	}
	return fmt.Sprintf("verb(%d)", uint8(v))
}

func (v Verb) known() bool { return v >= VerbInvalidate && v <= VerbClear }

// Message is one announcement of one cache. Announce fills in Cache and Node.
type Message struct {
	Verb Verb
	// Cache is the name under which the cache is attached, on every node.
	Cache string
	// Keys are remote keys, or tags with VerbTag; none with VerbClear. Receivers share the slice and must not change it.
	Keys []string
	// Node is who announced it.
	Node NodeID
}

// Bounds of what travels. They keep a hostile or mistaken peer from costing more than a frame's worth of memory.
const (
	// MaxFrame is the size of the largest frame, in bytes.
	MaxFrame = 256 << 10
	// MaxKey is the length of the longest key, tag or topic, in bytes.
	MaxKey = 64 << 10
	// MaxName is the length of the longest cache name and fingerprint, in bytes.
	MaxName = 256
	// MaxKeys is how many keys one Announce may carry. Who has more announces VerbClear instead, or in parts: only the
	// caller knows which is cheaper.
	MaxKeys = 64 << 10
	// MaxAnnouncement is how many bytes the messages of one Announce may take together, roughly.
	MaxAnnouncement = 4 << 20
	// MaxAttachments is how many caches a bus can serve: every heartbeat lists them.
	MaxAttachments = 256
)

// validate reports why a message may not be announced.
func (m *Message) validate() error {
	switch {
	case !m.Verb.known():
		return fmt.Errorf("invalidation: %v is not a verb to announce", m.Verb)
	case m.Verb == VerbClear && len(m.Keys) > 0:
		return fmt.Errorf("invalidation: %v carries no keys, got %d", m.Verb, len(m.Keys))
	case m.Verb != VerbClear && len(m.Keys) == 0:
		return fmt.Errorf("invalidation: %v needs keys", m.Verb)
	case len(m.Keys) > MaxKeys:
		return fmt.Errorf("invalidation: %d keys, at most %d: announce in parts, or a clear: %w", len(m.Keys), MaxKeys, ErrTooLarge)
	}
	for _, key := range m.Keys {
		if key == "" {
			return fmt.Errorf("invalidation: an empty key cannot be announced")
		}
		if len(key) > MaxKey {
			return fmt.Errorf("invalidation: a key of %d bytes, at most %d: %w", len(key), MaxKey, ErrTooLarge)
		}
	}
	return nil
}
