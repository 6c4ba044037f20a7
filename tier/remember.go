package tier

import (
	"sync"

	"github.com/strata-cache/strata/invalidation"
)

// What a node remembers of what was announced. Beyond that it forgets the oldest, and cannot vouch for a server that lost as much.
const (
	maxRemembered      = 1 << 16 // keys
	maxRememberedBytes = 8 << 20
)

// A memory is what this node heard and announced for one cache, in the present incarnation of the bus and in the one before.
type memory struct {
	// mu guards the rest.
	mu      sync.Mutex
	now     stretch
	last    stretch // of the incarnation before
	entries []remembered
	keys    int
	bytes   int
}

// A stretch is a part of the log of which this node remembers everything that is after base.
type stretch struct {
	base  invalidation.Position
	known bool
}

func (s stretch) reaches(p invalidation.Position) bool {
	order, ok := s.base.Compare(p)
	return s.known && ok && order <= 0
}

type remembered struct {
	at   invalidation.Position
	keys []string // nil: something that names no keys
}

func (r *remembered) bytes() (n int) {
	for _, k := range r.keys {
		n += len(k) + 16
	}
	return n
}

// missed notes that this node does not know all of what was announced.
func (m *memory) missed(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reason == invalidation.FlushIncarnation && m.now.known {
		m.last = m.now
	}
	m.now = stretch{}
}

// contiguous notes that this node hears all that is announced after p.
func (m *memory) contiguous(p invalidation.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.now.known && !p.IsZero() {
		m.now = stretch{base: p, known: true}
	}
}

// note remembers what was announced at p. What this node announced itself is noted when it is
// acknowledged and again when it comes back: either may come first.
func (m *memory) note(p invalidation.Position, message invalidation.Message) {
	r := remembered{at: p}
	if message.Verb == invalidation.VerbInvalidate || message.Verb == invalidation.VerbExpire {
		r.keys = message.Keys
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, r)
	m.keys += 1 + len(r.keys)
	m.bytes += r.bytes()
	n := 0
	for ; m.keys > maxRemembered || m.bytes > maxRememberedBytes; n++ {
		old := &m.entries[n]
		m.keys -= 1 + len(old.keys)
		m.bytes -= old.bytes()
		for _, s := range []*stretch{&m.now, &m.last} {
			if old.at.After(s.base) {
				s.base = old.at
			}
		}
		*old = remembered{}
	}
	m.entries = m.entries[n:]
}

// An account is what a node can tell of a rewind.
type account struct {
	keys  []string // announced in it, as far as this node knows
	whole bool     // these are all
	own   bool     // these are all that this node heard before the bus began another life too
	all   bool     // nobody knows which keys it was about
}

// recount tells what may have been lost. Without whole and own the node can tell nothing.
func (m *memory) recount(r *rewind) (a account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := r.After.Position
	switch {
	case m.now.reaches(after) && r.Through.Incarnation == after.Incarnation:
		a.whole = true
	case m.last.reaches(after) && m.now.known:
		a.own = true
	default:
		return a
	}
	seen := map[string]bool{}
	for _, e := range m.entries {
		order, ok := e.at.Compare(after)
		if ok && order <= 0 || !ok && a.whole {
			continue
		}
		if e.keys == nil && ok {
			return account{all: true}
		}
		for _, k := range e.keys {
			if !seen[k] {
				seen[k] = true
				a.keys = append(a.keys, k)
			}
		}
	}
	return a
}
