package tier

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"
)

// A local is the local tier: Ristretto decides what stays, and a direct-mapped table in front of it takes most hits
// and shows at once what was just put. Neither needs to be exact, because each entry says itself whether it may be
// served; both are only ever a reason for one more miss.
type local[K comparable, V any] struct {
	table []atomic.Pointer[entry[K, V]] // a power of two of slots, by hash
	mask  uint64

	// loose is the cost of the entries that only the table holds, because Ristretto dropped or refused them. They
	// get at most looseMax of the configured cost.
	loose    atomic.Int64
	looseMax int64
	queue    looseQueue[K, V]

	// rist must not be closed while it is called: each call holds one of the gates, Close takes them all.
	rist   *ristretto.Cache[uint64, *entry[K, V]]
	gates  [gates]gate
	closed atomic.Bool
}

const (
	gates       = 16
	maxSlots    = 1 << 16
	looseShare  = 8 // of the cost one part is for loose entries
	overhead    = 160
	sampleEvery = 16 // of the hits in the table one is told to Ristretto
)

// A gate is a lock on a cache line of its own.
type gate struct {
	sync.RWMutex
	_ [64 - unsafe.Sizeof(sync.RWMutex{})%64]byte
}

func newLocal[K comparable, V any](cost int64) (*local[K, V], error) {
	slots := min(uint64(maxSlots), uint64(1)<<bits.Len64(uint64(cost/512)))
	l := &local[K, V]{
		table:    make([]atomic.Pointer[entry[K, V]], slots),
		mask:     slots - 1,
		looseMax: cost / looseShare,
	}
	var err error
	l.rist, err = ristretto.NewCache(&ristretto.Config[uint64, *entry[K, V]]{
		NumCounters:        max(1000, min(cost/50, 10_000_000)),
		MaxCost:            cost - cost/looseShare,
		BufferItems:        64,
		IgnoreInternalCost: true, // overhead is counted in the entry's own
		OnEvict: func(i *ristretto.Item[*entry[K, V]]) {
			if i.Value != nil {
				l.forget(i.Value)
			}
		},
		OnExit: func(e *entry[K, V]) { // also rejected, or deleted in a race with a Set
			if e != nil {
				l.keepLoose(e)
			}
		},
	})
	return l, err
}

// get returns what is held at key, whether or not it may be served, or nil.
func (l *local[K, V]) get(hash uint64, key K, now time.Duration) *entry[K, V] {
	if e := l.table[hash&l.mask].Load(); e != nil && e.hash == hash && e.key == key {
		if now>>6%sampleEvery == 0 {
			l.held(hash)
		}
		return e
	}
	if e := l.held(hash); e != nil && e.key == key {
		return e
	}
	return nil
}

// held returns what Ristretto has, and tells its policy that somebody asked.
func (l *local[K, V]) held(hash uint64) *entry[K, V] {
	g := &l.gates[hash%gates]
	g.RLock()
	defer g.RUnlock()
	if l.closed.Load() {
		return nil
	}
	e, _ := l.rist.Get(hash)
	return e
}

// put makes e what is held at its key.
func (l *local[K, V]) put(e *entry[K, V]) {
	l.displaced(l.table[e.hash&l.mask].Swap(e))
	g := &l.gates[e.hash%gates]
	g.RLock()
	defer g.RUnlock()
	if l.closed.Load() {
		l.forget(e)
		return
	}
	if !l.rist.Set(e.hash, e, e.cost) {
		l.keepLoose(e)
	}
}

// drop removes the dead entry e, which would keep Ristretto from taking a new one.
func (l *local[K, V]) drop(e *entry[K, V]) {
	l.forget(e)
	g := &l.gates[e.hash%gates]
	g.RLock()
	defer g.RUnlock()
	if l.closed.Load() {
		return
	}
	if held, ok := l.rist.Get(e.hash); ok && held == e {
		l.rist.Del(e.hash)
	}
}

// keepLoose accounts for an entry that Ristretto does not hold: the table may show it while there is room.
func (l *local[K, V]) keepLoose(e *entry[K, V]) {
	slot := &l.table[e.hash&l.mask]
	if slot.Load() != e || !e.loose.CompareAndSwap(false, true) {
		return
	}
	l.loose.Add(e.cost)
	if slot.Load() != e {
		l.displaced(e)
		return
	}
	if e.cost > l.looseMax {
		l.forget(e)
		return
	}
	l.queue.push(e)
	for l.loose.Load() > l.looseMax {
		old := l.queue.pop()
		if old == nil {
			return
		}
		l.forget(old)
	}
}

// forget takes e out of the table.
func (l *local[K, V]) forget(e *entry[K, V]) {
	if l.table[e.hash&l.mask].CompareAndSwap(e, nil) {
		l.displaced(e)
	}
}

// displaced ends the account of an entry that left the table. Whoever turns the flag subtracts.
func (l *local[K, V]) displaced(e *entry[K, V]) {
	if e != nil && e.loose.CompareAndSwap(true, false) {
		l.loose.Add(-e.cost)
	}
}

// walk calls see with each entry of the table, from the slot at on, until it returns false. It returns the slot after the last.
func (l *local[K, V]) walk(at uint64, see func(*entry[K, V]) bool) (next uint64) {
	for end := at + uint64(len(l.table)); at != end; at++ {
		if e := l.table[at&l.mask].Load(); e != nil && !see(e) {
			return at + 1
		}
	}
	return at
}

// clear frees the memory of all entries. It is not what keeps them from being served.
func (l *local[K, V]) clear() {
	for i := range l.table {
		l.displaced(l.table[i].Swap(nil))
	}
	l.queue.clear()
	l.gates[0].RLock()
	defer l.gates[0].RUnlock()
	if !l.closed.Load() {
		l.rist.Clear()
	}
}

// size returns the cost of what is held.
func (l *local[K, V]) size() int64 {
	l.gates[0].RLock()
	defer l.gates[0].RUnlock()
	if l.closed.Load() {
		return 0
	}
	return l.rist.MaxCost() - l.rist.RemainingCost() + l.loose.Load()
}

// close waits for calls under way, and frees everything.
func (l *local[K, V]) close() {
	for i := range l.gates {
		l.gates[i].Lock()
	}
	already := l.closed.Swap(true)
	for i := range l.gates {
		l.gates[i].Unlock()
	}
	if already {
		return
	}
	l.rist.Close()
	for i := range l.table {
		l.table[i].Store(nil)
	}
}
