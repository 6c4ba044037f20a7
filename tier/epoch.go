package tier

import (
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// stripes is how many epochs a local tier has. An invalidation of one key makes this node read the others of its stripe
// anew, so more is better; they take 8 bytes each.
const stripes = 1 << 13

// epochs decide which local entries are dead: an invalidation bumps the epoch of its key's stripe, and what was loaded
// under an older one is never served again.
type epochs struct {
	stripe [stripes]atomic.Uint64
	gen    atomic.Uint64 // of everything
}

// stripeOf returns the stripe of a remote key. The hash has no seed, so that it can be taken of a key that comes from the bus.
func stripeOf(remoteKey string) uint32 { return uint32(xxh3.HashString(remoteKey) % stripes) }

// A moment is the state of the epochs before something was read. What was read may be kept only under it.
type moment struct {
	epoch, gen uint64
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

// flush kills every entry.
func (e *epochs) flush() { e.gen.Add(1) }
