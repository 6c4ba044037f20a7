package record

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/strata-cache/strata/internal/weaken"
)

// A Verb says what a [Step] does to what it finds. None removes another writer's fence.
type Verb uint8

const (
	Add    Verb = iota + 1 // places Record where there is nothing
	Swap                   // replaces the record whose token is Expect by Record
	Remove                 // removes the record whose token is Expect
	Place                  // puts a fence of the writer Expect over anything; joins a fence that is there
	Leave                  // takes the writer Expect out of a fence; removes a value or lease
	Delete                 // is Leave for somebody who has no token in the fence
	Renew                  // gives the record whose token is Expect, or the fence that Expect is in, another expiry
)

func (v Verb) String() string {
	if names := [...]string{"", "add", "swap", "remove", "place", "leave", "delete", "renew"}; int(v) < len(names) && v > 0 {
		return names[v]
	}
	return "unknown"
}

// MaxWriters is how many writers a fence holds. It refuses a further one: leaving somebody out would let the fence end
// before that writer has committed.
const MaxWriters = 256

// A Step is one change at one key.
type Step struct {
	Verb   Verb
	Record []byte        // for Add and Swap; nobody may change it afterwards
	Expect Token         // for all but Add and Delete
	Fresh  Token         // for Place, Leave and Delete: the token of a fence that is left dirty
	TTL    time.Duration // for Add, Swap, Place and Renew; > 0, from now on
}

// Apply returns what the key holds after s, nil for nothing, and whether s happened. If it did not, nothing changes.
// now decides what has expired, and what Place and Renew count their TTL from. It keeps neither slice unchanged
// in memory of its own: next may be current or s.Record.
func Apply(current []byte, s Step, now time.Time) (next []byte, done bool) {
	current = Live(current, now)
	switch s.Verb {
	case Add:
		if current != nil {
			return current, false
		}
		return s.Record, true
	case Swap:
		if !names(s.Expect, current) {
			return current, false
		}
		return s.Record, true
	case Remove:
		if !names(s.Expect, current) {
			return current, false
		}
		return nil, true
	case Place:
		return place(current, s, now)
	case Leave, Delete:
		if !isFence(current) {
			return nil, true
		}
		return leave(current, s), true
	case Renew:
		return renew(current, s, now)
	}
	return current, false
}

func names(t Token, current []byte) bool {
	return current != nil && !t.IsZero() && tokenOf(current) == t
}

func isFence(current []byte) bool { return current != nil && Kind(current[1]) == Fence }

func place(current []byte, s Step, now time.Time) ([]byte, bool) {
	expiry := now.Add(s.TTL)
	if !isFence(current) {
		return New(Header{Kind: Fence, Token: s.Expect, Expiry: expiry}, s.Expect[:]), true
	}
	if writer(current, s.Expect) < 0 {
		if len(current)-HeaderLen >= MaxWriters*len(Token{}) {
			return current, false
		}
		current = append(slices.Clip(current), s.Expect[:]...)
	} else {
		current = slices.Clone(current)
	}
	dirty(current, s.Fresh)
	extend(current, expiry)
	return current, true
}

func leave(current []byte, s Step) []byte {
	if weaken.Off(weaken.KeepFence) {
		return nil
	}
	next := slices.Clone(current)
	if s.Verb == Leave {
		if i := writer(next, s.Expect); i >= 0 {
			next = slices.Delete(next, i, i+len(Token{}))
			if len(next) < HeaderLen+len(Token{}) {
				return nil
			}
		}
	}
	dirty(next, s.Fresh)
	return next
}

func renew(current []byte, s Step, now time.Time) ([]byte, bool) {
	switch {
	case isFence(current) && writer(current, s.Expect) >= 0, names(s.Expect, current):
	default:
		return current, false
	}
	next := slices.Clone(current)
	if Kind(next[1]) == Value {
		setExpiry(next, now.Add(s.TTL))
	} else {
		extend(next, now.Add(s.TTL))
	}
	return next, true
}

// writer returns where in the fence b the token of a writer begins, or -1.
func writer(b []byte, t Token) int {
	for i := HeaderLen; i+len(t) <= len(b); i += len(t) {
		if Token(b[i:i+len(t)]) == t {
			return i
		}
	}
	return -1
}

func dirty(b []byte, fresh Token) {
	b[2] |= byte(Dirty)
	copy(b[tokenAt:], fresh[:])
}

func extend(b []byte, expiry time.Time) {
	if expiry.After(expiryOf(b)) {
		setExpiry(b, expiry)
	}
}

func setExpiry(b []byte, expiry time.Time) {
	binary.BigEndian.PutUint64(b[expiryAt:], uint64(expiry.UnixMilli()))
}
