package invalidation

import (
	"encoding/hex"
	"fmt"
)

// Incarnation names one life of a log. A log that lost data, was restored, or lives on another server has another one.
type Incarnation [16]byte

// String is the first half in hexadecimal: enough to tell two apart in a log line.
func (i Incarnation) String() string { return hex.EncodeToString(i[:8]) }

// Position is a place in the log: the N-th frame of an incarnation, from 1. It is the only clock that coherence uses.
// The zero Position is none.
type Position struct {
	Incarnation Incarnation
	N           uint64
}

// Compare tells how p and q lie to each other: negative, zero or positive. Positions of different incarnations have no order,
// and ok is false: whoever asks must assume the worst.
func (p Position) Compare(q Position) (order int, ok bool) {
	switch {
	case p.Incarnation != q.Incarnation:
		return 0, false
	case p.N < q.N:
		return -1, true
	case p.N > q.N:
		return 1, true
	default:
		return 0, true
	}
}

// Before reports whether p is certainly older than q: of the same incarnation and smaller.
func (p Position) Before(q Position) bool { order, ok := p.Compare(q); return ok && order < 0 }

// After reports whether p is certainly newer than q: of the same incarnation and greater.
func (p Position) After(q Position) bool { order, ok := p.Compare(q); return ok && order > 0 }

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// String is for people: incarnation/n.
func (p Position) String() string {
	if p.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%s/%d", p.Incarnation, p.N)
}
