package memory

import (
	"fmt"

	"github.com/strata-cache/strata/backend"
)

// A Memory is what all stores of one memory share: for tests that do to it what happens to servers. A store hands it out:
//
//	var m *memory.Memory
//	store.As(&m)
//
// It is safe for concurrent use, also with calls of the stores.
type Memory struct{ data *data }

// A Snapshot is what a Memory held at one moment, records and counters.
type Snapshot struct {
	entries []entry // unlinked; records are shared with the memory, and never changed in place
	weight  int64
}

// Snapshot returns a copy of everything, all at one moment, as a server's snapshot is.
func (m *Memory) Snapshot() *Snapshot {
	d := m.data
	d.lock()
	defer d.unlock()
	s := &Snapshot{weight: d.weight.Load()}
	for i := range d.shards {
		sh := &d.shards[i]
		for range sh.count {
			e := sh.hand
			sh.hand = e.next // once around
			s.entries = append(s.entries, entry{key: e.key, record: e.record, count: e.count, expiry: e.expiry})
		}
	}
	return s
}

// Restore puts back what s has, in place of everything, as a server does that was restored from an old snapshot: records and
// fences of since then are gone, and those from then are back, as far as they have not expired. The server has another
// identity after it. It fails, and changes nothing, if s is of a larger memory and does not fit.
func (m *Memory) Restore(s *Snapshot) error {
	if s.weight > m.data.limit {
		return fmt.Errorf("memory: restore: %d bytes into %d: %w", s.weight, m.data.limit, backend.ErrTooLarge)
	}
	m.data.replace(s)
	return nil
}

// Lose empties the memory, as a server does that restarts without its data. The server has another identity after it.
func (m *Memory) Lose() { m.data.replace(&Snapshot{}) }

// replace puts s in place of everything at one moment, of a new generation.
func (d *data) replace(s *Snapshot) {
	d.lock()
	defer d.unlock()
	for i := range d.shards {
		sh := &d.shards[i]
		for sh.hand != nil {
			sh.dropLocked(d, sh.hand)
		}
	}
	for i := range s.entries {
		e := s.entries[i]
		sh := d.shard(e.key)
		if e.record == nil {
			sh.counters[e.key] = &e
		} else {
			sh.records[e.key] = &e
		}
		sh.enterLocked(&e)
	}
	d.weight.Store(s.weight)
	d.generation.Add(1)
}

// lock locks all shards. Nobody else holds two, so any order will do.
func (d *data) lock() {
	for i := range d.shards {
		d.shards[i].mu.Lock()
	}
}

func (d *data) unlock() {
	for i := range d.shards {
		d.shards[i].mu.Unlock()
	}
}
