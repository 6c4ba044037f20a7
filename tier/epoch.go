package tier

import (
	"math/bits"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// A local tier has an epoch for each stripeCost of what it may hold: more than it can hold entries. An invalidation or a
// Set of one key kills the others of its stripe, so with fewer a full tier would lose most of what was set one by one.
const (
	stripeCost = 256
	minStripes = 1 << 13
	maxStripes = 1 << 20 // 8 bytes each
)

// epochs decide which local entries are dead: an invalidation bumps the epoch of its key's stripe, and what was loaded
// under an older one is never served again.
type epochs struct {
	stripe []atomic.Uint64 // a power of two
	gen    atomic.Uint64   // of everything
	known  atomic.Uint64   // what has a smaller gen was invalidated, and not only perhaps
}

// init makes the epochs of a local tier that may hold cost.
func (e *epochs) init(cost int64) {
	n := uint64(1) << bits.Len64(uint64(max(0, cost)/stripeCost))
	e.stripe = make([]atomic.Uint64, min(max(n, minStripes), maxStripes))
}

// stripeOf returns the stripe of a remote key. The hash has no seed, so that it can be taken of a key that comes from the bus.
func (e *epochs) stripeOf(remoteKey string) uint32 {
	return uint32(xxh3.HashString(remoteKey) & uint64(len(e.stripe)-1))
}

// A moment is the state of the epochs before something was read. What was read may be kept only under it.
type moment struct {
	epoch, gen uint64
	tags       uint64 // by the clock of the tagEpochs
}

func (e *epochs) at(stripe uint32) moment {
	return moment{epoch: e.stripe[stripe].Load(), gen: e.gen.Load()}
}

// current reports whether nothing was invalidated in the stripe since m.
func (e *epochs) current(stripe uint32, m moment) bool {
	return e.stripe[stripe].Load() == m.epoch && e.gen.Load() == m.gen
}

// bump kills every entry of the stripe, and returns its new epoch.
func (e *epochs) bump(stripe uint32) uint64 { return e.stripe[stripe].Add(1) }

// flush kills every entry, because all was invalidated.
func (e *epochs) flush() {
	gen := e.gen.Add(1)
	for {
		known := e.known.Load()
		if known >= gen || e.known.CompareAndSwap(known, gen) {
			return
		}
	}
}

// suspect kills every entry, because some may have been invalidated. Who allows stale values may still have them.
func (e *epochs) suspect() { e.gen.Add(1) }
