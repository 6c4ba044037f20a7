package tier

import (
	"slices"
	"sync"
)

// A looseQueue holds the entries that only the table shows, oldest first, so that the newest, which somebody may be about
// to read back, goes last. An entry that leaves the table earlier stays in it until it is the oldest, or until half of all
// entries are such.
type looseQueue[K comparable, V any] struct {
	mu      sync.Mutex
	entries []*entry[K, V] // guarded by mu
	sweep   int            // length at which entries that are not loose any more are looked for; guarded by mu
}

const minSweep = 64

func (q *looseQueue[K, V]) push(e *entry[K, V]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = append(q.entries, e)
	if len(q.entries) >= max(q.sweep, minSweep) {
		q.entries = slices.DeleteFunc(q.entries, func(e *entry[K, V]) bool { return !e.loose.Load() })
		q.sweep = 2 * len(q.entries)
	}
}

// pop returns the oldest entry, loose or not, or nil.
func (q *looseQueue[K, V]) pop() *entry[K, V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return nil
	}
	e := q.entries[0]
	q.entries[0] = nil
	q.entries = q.entries[1:]
	return e
}

func (q *looseQueue[K, V]) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = nil
}
