package tier

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/invalidation"
)

// An entry is what the local tier holds at a key. Whether it may still be served is decided when it is looked at.
type entry[K comparable, V any] struct {
	facts[K, V]

	retry atomic.Int64 // when a refresh may be tried again, by the clock of mono; 0 for at once
	loose atomic.Bool  // only the table holds it
}

// facts are what does not change of an entry after it was put into the local tier.
type facts[K comparable, V any] struct {
	key    K
	value  V
	hash   uint64        // of key, in this cache
	stripe uint32        // of its remote key
	epoch  uint64        // of that stripe, when its load began
	gen    uint64        // of the local tier, when its load began
	tagged uint64        // by the clock of the tagEpochs, when its load began
	slots  []uint16      // of its tags
	fresh  time.Duration // until when it is not stale, by the clock of mono
	expiry time.Duration // until when it is served at all
	bound  time.Duration // until when it is served without a trusted bus

	created  time.Time // wall clock, of its load
	tags     []string
	version  uint64
	cost     int64
	pos      invalidation.Position // of the bus, before its load began; zero: not known
	token    record.Token          // of the remote record that it was read from or stored as
	stamp    stamp                 // of that record
	negative bool                  // the source has no such value
	from     Tier                  // where this process got it
	old      bool                  // it may be older than what this node could have had: a replica told it
}

// forever is a time that does not come.
const forever = time.Duration(math.MaxInt64)

// copied returns an entry of the same facts, for who changes when it may be served.
func (e *entry[K, V]) copied() *entry[K, V] { return &entry[K, V]{facts: e.facts} }

// stale reports whether a newer value is wanted.
func (e *entry[K, V]) stale(now time.Duration) bool { return now >= e.fresh }

// A Tier is where a value came from.
type Tier uint8

const (
	Local  Tier = iota + 1 // this process had it
	Remote                 // the shared tier had it
	Source                 // it was loaded
)

func (t Tier) String() string {
	switch t {
	case Local:
		return "local"
	case Remote:
		return "remote"
	case Source:
		return "source"
	}
	return "none"
}
