package tier

import (
	"errors"
	"sync/atomic"

	"github.com/strata-cache/strata/codec"
)

// Stats counts what a cache did since it was made.
type Stats struct {
	LocalHits    uint64 // reads that the local tier answered
	RemoteHits   uint64 // reads that the remote tier answered
	Misses       uint64 // reads that neither did
	StaleHits    uint64 // of the hits, those of a value past its soft TTL
	NegativeHits uint64 // of the hits, those of an ErrNotFound

	Loads        uint64 // keys asked of the source
	LoadErrors   uint64 // of these, those without an answer
	Refreshes    uint64 // of the loads, those behind a stale value
	RefusedFills uint64 // loaded values that the remote tier did not take, because somebody else wrote the key
	Fenced       uint64 // reads of the source because somebody was writing the key
	Waited       uint64 // reads that waited for somebody else's load
	Cold         uint64 // reads that did not want to: ErrColdCache

	RemoteErrors  uint64                   // remote reads and writes that failed
	Marked        uint64                   // remote values found that were invalidated by tag or a Clear: each is a miss
	Undecodable   uint64                   // remote records that could not be used: each is a miss
	UndecodableBy [codec.NumReasons]uint64 // of these, those of each codec.Reason
	Writes        uint64                   // keys set
	Stores        uint64                   // keys written to the source
	StoreErrors   uint64                   // of these, those that failed, or may have
	Accepted      uint64                   // keys whose write a journal accepted here, under policy.WriteBehind
	Shed          uint64                   // keys whose write was dropped because the journal is full
	Flushed       uint64                   // pending writes that this node gave to the source
	Unwritten     uint64                   // times that the source did not take one, and it was tried again
	DeadLetters   uint64                   // pending writes that this node gave up
	Invalidated   uint64                   // keys invalidated here
	Received      uint64                   // keys, tags and clears that other nodes announced
	Flushes       uint64                   // times that the whole local tier was given up
	Doubts        uint64                   // times that the remote tier could no longer be believed about a key, or about everything
	Doubted       uint64                   // reads of the source because of that
	Rewound       uint64                   // values not used because a server that came back may lack what made them old
	Repairs       int                      // keys and the like that wait to be repaired now
	Repaired      uint64                   // those that were
	LocalCost     int64                    // what the local tier holds now, in bytes as Weigh counts them
	Trusted       bool                     // local values may be served now because the bus is heard

	Staleness Staleness // of local values, as far as Options.StaleSample asks for
}

// counters are the parts of Stats that are counted. Hits are counted apart: see hits.
type counters struct {
	remoteHits, misses, staleHits, negativeHits        atomic.Uint64
	loads, loadErrors, refreshes, refusedFills, fenced atomic.Uint64
	waited, cold                                       atomic.Uint64
	remoteErrors, undecodable, marked                  atomic.Uint64
	undecodableBy                                      [codec.NumReasons]atomic.Uint64
	writes, invalidated, received, flushes             atomic.Uint64
	doubts, doubted, repaired, stores, storeErrors     atomic.Uint64
	rewound                                            atomic.Uint64
}

// cannotDecode counts a remote record that could not be used.
func (n *counters) cannotDecode(err error) {
	n.undecodable.Add(1)
	if d, ok := errors.AsType[*codec.DecodeError](err); ok && d.Reason < codec.NumReasons {
		n.undecodableBy[d.Reason].Add(1)
	}
}

// hits counts local hits, spread so that readers on several cores do not share a cache line.
type hits [64]struct {
	n atomic.Uint64
	_ [56]byte
}

func (h *hits) add(hash uint64) { h[hash>>32%uint64(len(h))].n.Add(1) }

func (h *hits) sum() (n uint64) {
	for i := range h {
		n += h[i].n.Load()
	}
	return n
}

// Stats returns what the cache did so far. The numbers are read one after another while others change them.
func (c *Cache[K, V]) Stats() Stats {
	s := Stats{
		LocalHits:    c.hits.sum(),
		RemoteHits:   c.n.remoteHits.Load(),
		Misses:       c.n.misses.Load(),
		StaleHits:    c.n.staleHits.Load(),
		NegativeHits: c.n.negativeHits.Load(),
		Loads:        c.n.loads.Load(),
		LoadErrors:   c.n.loadErrors.Load(),
		Refreshes:    c.n.refreshes.Load(),
		RefusedFills: c.n.refusedFills.Load(),
		Fenced:       c.n.fenced.Load(),
		Waited:       c.n.waited.Load(),
		Cold:         c.n.cold.Load(),
		RemoteErrors: c.n.remoteErrors.Load(),
		Marked:       c.n.marked.Load(),
		Undecodable:  c.n.undecodable.Load(),
		Writes:       c.n.writes.Load(),
		Invalidated:  c.n.invalidated.Load(),
		Received:     c.n.received.Load(),
		Flushes:      c.n.flushes.Load(),
		Stores:       c.n.stores.Load(),
		StoreErrors:  c.n.storeErrors.Load(),
		Doubts:       c.n.doubts.Load(),
		Rewound:      c.n.rewound.Load(),
		Doubted:      c.n.doubted.Load(),
		Repairs:      c.repairs.waiting(),
		Repaired:     c.n.repaired.Load(),
		Trusted:      c.trusted(),
		Staleness:    c.detector.staleness(),
	}
	for r := range s.UndecodableBy {
		s.UndecodableBy[r] = c.n.undecodableBy[r].Load()
	}
	if b := c.behind; b != nil {
		n := b.worker.Counts()
		s.Accepted, s.Shed = b.accepted.Load(), b.shed.Load()
		s.Flushed, s.Unwritten, s.DeadLetters = n.Flushed, n.Retries, n.Dead
	}
	if c.local != nil {
		s.LocalCost = c.local.size()
	}
	return s
}
