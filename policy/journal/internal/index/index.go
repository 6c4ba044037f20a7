// Package index is a queue of a journal in memory: the newest write of each key, and the keys in the order in which they wait. It is all
// of memjournal, and what filejournal answers from; what that keeps in its file it learns from [Index.Run].
package index

import (
	"container/list"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// An Index is the state of a queue. Its handles use it.
type Index struct {
	turn sync.Mutex // held by who changes what is pending or dead, until that is applied; taken before mu

	// mu guards the rest. Nothing blocks under it.
	mu      sync.Mutex
	slots   map[string]*slot
	dead    map[string]*journal.DeadLetter // replaced, never changed
	waiting list.List                      // slots that nobody has, by since
	held    list.List                      // slots that somebody has, by kept
	depth   int                            // slots with a pending write
	last    journal.Position
	merged  uint64
	counter uint64        // of tickets, and of places in waiting
	listed  chan struct{} // closed when a slot comes to waiting; nil: nobody waits for that
}

// A slot is a key that has a pending write, or that somebody has.
type slot struct {
	key      string
	pending  *journal.Entry // replaced, never changed; nil: buried by who has it
	attempts int
	since    uint64        // its place in waiting
	waits    time.Time     // when the write was accepted that brought it there
	at       *list.Element // in waiting or held
	hold     *hold         // nil: nobody has it
}

// A hold is a slot in somebody's hands.
type hold struct {
	by       *Handle
	ticket   string
	position journal.Position // of the write that it is for; 0 for none
	merged   int              // that of the write
	kept     time.Time
}

// New returns one with nothing in it.
func New() *Index {
	return &Index{
		slots:   make(map[string]*slot),
		dead:    make(map[string]*journal.DeadLetter),
		counter: rand.Uint64() >> 1, // a ticket of an index before this one is none of this one
	}
}

// Load adds what was kept elsewhere. It is called before there are handles; pending writes come in the order of their positions.
func (x *Index) Load(pending []journal.Entry, dead []journal.DeadLetter, last journal.Position, merged uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range pending {
		x.set(e.Key, &e)
		last = max(last, e.Position)
	}
	for _, d := range dead {
		x.dead[d.Key] = &d
		last = max(last, d.Position)
	}
	x.last, x.merged = last, merged
}

// All returns what is pending, in the order of the positions, and the dead letters. What they point at must not be changed.
func (x *Index) All() (pending []journal.Entry, dead []journal.DeadLetter, last journal.Position, merged uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range x.dead {
		dead = append(dead, *d)
	}
	return x.pendingLocked(), dead, x.last, x.merged
}

// set makes a key have a pending write, or none. It is called with mu held, as are all below.
func (x *Index) set(key string, pending *journal.Entry) {
	s := x.slots[key]
	switch {
	case s == nil && pending == nil:
		return
	case s == nil:
		s = &slot{key: key}
		x.slots[key] = s
	}
	switch {
	case s.pending == nil && pending != nil:
		x.depth++
		s.attempts = 0
	case s.pending != nil && pending == nil:
		x.depth--
	}
	s.pending = pending
	x.settle(s)
}

// settle lists a slot that nobody has, or drops it if there is nothing in it.
func (x *Index) settle(s *slot) {
	switch {
	case s.hold != nil:
	case s.pending == nil:
		if s.at != nil {
			x.waiting.Remove(s.at)
		}
		delete(x.slots, s.key)
	case s.at == nil:
		x.counter++
		s.since, s.waits = x.counter, s.pending.Accepted
		s.at = x.waiting.PushBack(s)
		x.wake()
	}
}

// wake wakes everybody who waits for a slot.
func (x *Index) wake() {
	if x.listed != nil {
		close(x.listed)
		x.listed = nil
	}
}

// release takes a slot from whom has it, and lists it at its old place if again, else as one that comes anew.
func (x *Index) release(s *slot, again bool) {
	x.held.Remove(s.at)
	s.hold, s.at = nil, nil
	if !again || s.pending == nil {
		x.settle(s)
		return
	}
	before := x.waiting.Front()
	for before != nil && before.Value.(*slot).since < s.since {
		before = before.Next()
	}
	if before == nil {
		s.at = x.waiting.PushBack(s)
	} else {
		s.at = x.waiting.InsertBefore(s, before)
	}
	x.wake()
}

// giveBack releases a slot as it was before it was taken.
func (x *Index) giveBack(s *slot) {
	s.attempts = max(0, s.attempts-1)
	x.release(s, true)
}

// never is a long time.
const never = 24 * time.Hour

// expire releases what was not kept for so long, 0 for ever, and returns in what time there may be more.
func (x *Index) expire(after time.Duration) time.Duration {
	if after == 0 {
		return never
	}
	for e := x.held.Front(); e != nil; e = x.held.Front() {
		s := e.Value.(*slot)
		if left := time.Until(s.hold.kept.Add(after)); left > 0 {
			return left
		}
		x.release(s, true)
	}
	return after // others may take something at any time
}

// mine returns the slot of an entry if that was not taken from whom it was given to.
func (x *Index) mine(e journal.Entry) *slot {
	if s := x.slots[e.Key]; s != nil && s.hold != nil && s.hold.ticket == e.Ticket {
		return s
	}
	return nil
}
