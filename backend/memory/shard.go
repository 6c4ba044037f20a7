package memory

import (
	"hash/maphash"
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
	hand      atomic.Uint32 // the shard to evict from next
	seed      maphash.Seed
	shards    [shards]shard
}

type shard struct {
	mu sync.Mutex
	// mu guards all below
	records  map[string]*entry
	counters map[string]*entry
	ring     []*entry // every entry, for hand and sweep
	hand     int      // of the eviction clock
	sweep    int
}

// An entry is a record or a counter.
type entry struct {
	key    string
	record []byte // nil for a counter; never changed in place
	count  int64
	expiry time.Time // of a counter
	used   bool      // since the hand came by
	at     int       // in ring
}

func newData(limit int64) *data {
	d := &data{limit: limit, seed: maphash.MakeSeed()}
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
		sh := &d.shards[d.hand.Add(1)%shards]
		sh.mu.Lock()
		evicted := sh.evictLocked(d, now)
		sh.mu.Unlock()
		if evicted {
			idle = 0
		} else if idle++; idle > shards {
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
		for len(sh.ring) > 0 {
			sh.dropLocked(d, sh.ring[len(sh.ring)-1])
		}
		sh.ring = nil
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

func (e *entry) weight() int64 { return int64(overhead + len(e.key) + len(e.record)) }

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
		if need := d.reserve(int64(len(next) - len(e.record))); need > 0 {
			return need
		}
		e.record = next
		return 0
	}
	e = &entry{key: key, record: next, used: true}
	if need := d.reserve(e.weight()); need > 0 {
		return need
	}
	sh.records[key] = e
	sh.enterLocked(e)
	return 0
}

func (sh *shard) enterLocked(e *entry) {
	e.at = len(sh.ring)
	sh.ring = append(sh.ring, e)
}

func (sh *shard) dropLocked(d *data, e *entry) {
	if e.record == nil {
		delete(sh.counters, e.key)
	} else {
		delete(sh.records, e.key)
	}
	last := len(sh.ring) - 1
	sh.ring[e.at] = sh.ring[last]
	sh.ring[e.at].at = e.at
	sh.ring[last] = nil
	sh.ring = sh.ring[:last]
	d.weight.Add(-e.weight())
}

// evictLocked moves the hand until it has dropped one entry, at most twice around.
func (sh *shard) evictLocked(d *data, now time.Time) bool {
	for range 2 * len(sh.ring) {
		if sh.hand >= len(sh.ring) {
			sh.hand = 0
		}
		e := sh.ring[sh.hand]
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
		sh.hand++
	}
	return false
}

// sweepLocked drops what has expired among the next few entries.
func (sh *shard) sweepLocked(d *data, now time.Time) {
	for range sweepSteps {
		if sh.sweep >= len(sh.ring) {
			sh.sweep = 0
			return
		}
		if e := sh.ring[sh.sweep]; e.live(now) {
			sh.sweep++
		} else {
			sh.dropLocked(d, e)
		}
	}
}
