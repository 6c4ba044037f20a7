package tier

import (
	"sync"
	"sync/atomic"
)

// tagEpochs decide which local entries are dead by their tags, as epochs do by their keys: each invalidation by tag that this node
// makes or hears of gets the next number of a clock, and an entry is dead if one of its tags has a greater number than the clock
// showed before the entry was read. They also tell since when this node's copy of the markers may be too old.
type tagEpochs struct {
	clock atomic.Uint64
	slot  [markSlots]atomic.Uint64 // when one of its tags was last invalidated
	all   atomic.Uint64            // when everything was
	gap   atomic.Uint64            // when something was that this node may not have heard of

	mu sync.Mutex // held by who changes anything
}

// bump kills every entry that has a tag in slots.
func (e *tagEpochs) bump(slots []uint16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.clock.Load() + 1
	for _, s := range slots {
		e.slot[s].Store(n)
	}
	e.clock.Store(n) // last: who sees it sees the slots
}

// clear notes that everything was invalidated. What is held locally dies by its generation.
func (e *tagEpochs) clear() { e.note(&e.all) }

// missed notes that something may have been invalidated of which this node did not hear.
func (e *tagEpochs) missed() { e.note(&e.gap) }

func (e *tagEpochs) note(what *atomic.Uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.clock.Load() + 1
	what.Store(n)
	e.clock.Store(n)
}

// current reports whether no tag in slots was invalidated since the clock showed at.
func (e *tagEpochs) current(slots []uint16, at uint64) bool {
	for _, s := range slots {
		if e.slot[s].Load() > at {
			return false
		}
	}
	return true
}

// since returns the slots in which a tag was invalidated after the clock showed at.
func (e *tagEpochs) since(at uint64) (slots []uint16) {
	for i := range e.slot {
		if e.slot[i].Load() > at {
			slots = append(slots, uint16(i))
		}
	}
	return slots
}
