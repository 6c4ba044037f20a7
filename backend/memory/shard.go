package memory

import (
	crand "crypto/rand"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/record"
)

const (
	shards     = 64
	overhead   = 200 // bytes of an entry, its places in map and ring, and slack of both, measured generously
	sweepSteps = 2   // entries that each write looks at
)

// data is what all handles on one memory share.
type data struct {
	limit     int64
	weight    atomic.Int64 // of all entries, never above limit
	evictions atomic.Int64
	hand      atomic.Uint32 // a shard to evict from
	seed      maphash.Seed
	shards    [shards]shard

	// generation is 1 and counts how often the data was lost or replaced. It changes under the locks of all shards.
	generation atomic.Uint64
	name       string // random
}

type shard struct {
	weight atomic.Int64 // of its entries; a hint

	mu sync.Mutex
	// mu guards all below
	records  map[string]*entry
	counters map[string]*entry
	count    int    // of entries, all of them in one ring
	hand     *entry // of the eviction clock: the next to look at, nil for an empty ring
	sweep    *entry // the next to look at for expiry, nil to begin at the hand
}

// An entry is a record or a counter.
type entry struct {
	key    string
	record []byte // nil for a counter; never changed in place
	count  int64
	expiry time.Time // of a counter
	used   bool      // since it came or the hand passed

	previous, next *entry // in the ring
}

func newData(limit int64) *data {
	d := &data{limit: limit, seed: maphash.MakeSeed(), name: crand.Text()[:8]}
	d.generation.Store(1)
	for i := range d.shards {
		d.shards[i].records = make(map[string]*entry)
		d.shards[i].counters = make(map[string]*entry)
	}
	return d
}

func (d *data) shard(key string) *shard { return &d.shards[maphash.String(d.seed, key)%shards] }

// reserve takes n of the weight and returns 0, or returns n if that is too much.
func (d *data) reserve(n int64) int64 {
	for {
		w := d.weight.Load()
		if n > 0 && w+n > d.limit {
			return n
		}
		if d.weight.CompareAndSwap(w, w+n) {
			return 0
		}
	}
}

// makeRoom evicts until n fits, and reports false if nothing is left that may go. The caller holds no lock.
func (d *data) makeRoom(n int64) bool {
	now := time.Now()
	for idle := 0; d.weight.Load()+n > d.limit; {
		// The heavier of two, so that shards stay alike and what is in one has as good a chance as in another. But if
		// there was nothing to evict, each in turn.
		sh, other := &d.shards[d.hand.Add(1)%shards], &d.shards[rand.IntN(shards)]
		if idle > 0 {
			sh = &d.shards[idle-1]
		} else if other.weight.Load() > sh.weight.Load() {
			sh = other
		}
		sh.mu.Lock()
		evicted := sh.evictLocked(d, now)
		sh.mu.Unlock()
		if evicted {
			idle = 0
		} else if idle++; idle > shards { // each was looked at
			return false
		}
	}
	return true
}

// free empties everything.
func (d *data) free() {
	for i := range d.shards {
		sh := &d.shards[i]
		sh.mu.Lock()
		for sh.hand != nil {
			sh.dropLocked(d, sh.hand)
		}
		sh.mu.Unlock()
	}
}

// await returns when nobody is in a shard who was there before.
func (d *data) await() {
	for i := range d.shards {
		d.shards[i].mu.Lock()
		//lint:ignore SA2001 waiting for the lock is the point
		d.shards[i].mu.Unlock()
	}
}

// identity is that of the server whose data this is, in a generation.
func (d *data) identity(generation uint64) string {
	return d.name + "-" + strconv.FormatUint(generation, 10)
}

// weight is what e takes of the heap: a record's capacity is what was allocated for it.
func (e *entry) weight() int64 { return int64(overhead + len(e.key) + cap(e.record)) }

func (e *entry) live(now time.Time) bool {
	if e.record == nil {
		return now.Before(e.expiry)
	}
	return record.Live(e.record, now) != nil
}

// evictable reports whether e may go before it expires.
func (e *entry) evictable() bool {
	return e.record != nil && record.Kind(e.record[1]) != record.Fence
}

// putLocked makes key hold next, in place of e, nil for none. It returns how much room it lacks, and 0 if it did.
func (sh *shard) putLocked(d *data, key string, e *entry, next []byte) (need int64) {
	if e != nil {
		more := int64(cap(next) - cap(e.record))
		if need := d.reserve(more); need > 0 {
			return need
		}
		sh.weight.Add(more)
		e.record = next
		return 0
	}
	e = &entry{key: key, record: next}
	if need := d.reserve(e.weight()); need > 0 {
		return need
	}
	sh.records[key] = e
	sh.enterLocked(e)
	return 0
}

// enterLocked puts e where the hand comes last.
func (sh *shard) enterLocked(e *entry) {
	sh.count++
	sh.weight.Add(e.weight())
	if sh.hand == nil {
		e.previous, e.next = e, e
		sh.hand = e
		return
	}
	e.previous, e.next = sh.hand.previous, sh.hand
	e.previous.next, e.next.previous = e, e
}

func (sh *shard) dropLocked(d *data, e *entry) {
	if e.record == nil {
		delete(sh.counters, e.key)
	} else {
		delete(sh.records, e.key)
	}
	after := e.next
	if after == e {
		after = nil
	}
	if sh.hand == e {
		sh.hand = after
	}
	if sh.sweep == e {
		sh.sweep = after
	}
	e.previous.next, e.next.previous = e.next, e.previous
	sh.count--
	sh.weight.Add(-e.weight())
	d.weight.Add(-e.weight())
}

// evictLocked moves the hand until it has dropped one entry, at most twice around.
func (sh *shard) evictLocked(d *data, now time.Time) bool {
	for range 2 * sh.count {
		e := sh.hand
		sh.hand = e.next
		switch {
		case !e.live(now):
			sh.dropLocked(d, e)
			return true
		case e.evictable() && !e.used:
			sh.dropLocked(d, e)
			d.evictions.Add(1)
			return true
		}
		e.used = false
	}
	return false
}

// sweepLocked drops what has expired among the next few entries.
func (sh *shard) sweepLocked(d *data, now time.Time) {
	for range sweepSteps {
		if sh.sweep == nil {
			sh.sweep = sh.hand
		}
		e := sh.sweep
		if e == nil {
			return
		}
		sh.sweep = e.next
		if !e.live(now) {
			sh.dropLocked(d, e)
		}
	}
}
