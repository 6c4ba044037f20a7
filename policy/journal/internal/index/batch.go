package index

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// A Batch is changes that are made in one step. Its methods see what those before them did; nobody else does until all is applied.
type Batch struct {
	index  *Index
	staged map[string]*staged
	order  []*staged
	depth  int // how many more keys have a pending write
	merged uint64
	last   journal.Position
	then   []func()
}

// staged is what a key is to have.
type staged struct {
	key          string
	pending      *journal.Entry
	dead         *journal.DeadLetter
	write, grave bool // whether pending, and dead, are to change
	was          Change
}

// A Change is what a key has after a batch, and what it had before: nil for none.
type Change struct {
	Pending, WasPending *journal.Entry
	Dead, WasDead       *journal.DeadLetter
}

// Changes are those of a batch, one for each key, and what the queue counts after it.
type Changes struct {
	Keys   []Change
	Last   journal.Position
	Merged uint64
}

// Run makes the changes of ops in one step, in their order. Where commit is not nil it is called before anybody sees them, and they
// are dropped if it fails. Its error is that of commit.
func (x *Index) Run(commit func(Changes) error, ops ...func(*Batch)) error {
	x.turn.Lock()
	defer x.turn.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	b := &Batch{index: x, staged: make(map[string]*staged), last: x.last, merged: x.merged}
	for _, op := range ops {
		op(b)
	}
	if commit != nil {
		if c := b.changes(); len(c.Keys) > 0 {
			x.mu.Unlock()
			err := commit(c)
			x.mu.Lock()
			if err != nil {
				x.last = b.last // a position is not given twice, whatever became of the first
				return err
			}
		}
	}
	x.last, x.merged = b.last, b.merged
	for _, s := range b.order {
		if s.write {
			x.set(s.key, s.pending)
		}
		if s.grave {
			delete(x.dead, s.key)
			if s.dead != nil {
				x.dead[s.key] = s.dead
			}
		}
	}
	for _, f := range b.then {
		f()
	}
	return nil
}

func (b *Batch) changes() Changes {
	c := Changes{Last: b.last, Merged: b.merged}
	for _, s := range b.order {
		if s.write || s.grave {
			s.was.Pending, s.was.Dead = s.pending, s.dead
			c.Keys = append(c.Keys, s.was)
		}
	}
	return c
}

// of returns what a key is to have, which is what it has unless the batch says otherwise.
func (b *Batch) of(key string) *staged {
	s := b.staged[key]
	if s == nil {
		s = &staged{key: key, dead: b.index.dead[key]}
		if at := b.index.slots[key]; at != nil {
			s.pending = at.pending
		}
		s.was = Change{WasPending: s.pending, WasDead: s.dead}
		b.staged[key] = s
		b.order = append(b.order, s)
	}
	return s
}

func (b *Batch) pend(s *staged, e *journal.Entry) {
	if s.pending == nil && e != nil {
		b.depth++
	}
	if s.pending != nil && e == nil {
		b.depth--
	}
	s.pending, s.write = e, true
}

func (s *staged) bury(d *journal.DeadLetter) {
	if s.dead != d {
		s.dead, s.grave = d, true
	}
}

// Append implements journal.Queue for one that may hold so many keys.
func (b *Batch) Append(bound int, writes []journal.Write) []journal.Receipt {
	receipts := make([]journal.Receipt, len(writes))
	now := time.Now()
	var full error
	for i, w := range writes {
		s := b.of(w.Key)
		if s.pending == nil && b.index.depth+b.depth >= bound {
			if full == nil {
				full = fmt.Errorf("%d keys are pending: %w: %w", bound, journal.ErrFull, journal.ErrNotWritten)
			}
			receipts[i].Err = full
			continue
		}
		b.last = b.last.Next(now)
		w.Source, w.Value = slices.Clone(w.Source), slices.Clone(w.Value)
		e := &journal.Entry{Write: w, Position: b.last, Accepted: time.UnixMilli(now.UnixMilli())}
		if s.pending != nil {
			e.Merged = s.pending.Merged + 1
			b.merged++
		}
		b.pend(s, e)
		receipts[i].Position = e.Position
	}
	return receipts
}

// Done implements journal.Queue.
func (b *Batch) Done(entries []journal.Entry) {
	for _, e := range entries {
		at := b.index.mine(e)
		if at == nil {
			continue
		}
		s, h := b.of(e.Key), at.hold
		if s.dead != nil && s.dead.Position < h.position {
			s.bury(nil) // the source has what is newer
		}
		if s.pending != nil && s.pending.Position == h.position {
			b.pend(s, nil)
		}
		b.then = append(b.then, func() {
			if at.hold != h {
				return
			}
			if at.pending != nil && h.position != 0 {
				newer := *at.pending
				newer.Merged = max(0, newer.Merged-h.merged-1) // the source has had the one that was taken
				at.pending = &newer
			}
			at.attempts = 0
			b.index.release(at, false)
		})
	}
}

// Bury implements journal.Queue.
func (b *Batch) Bury(entries []journal.Entry, causes []string) {
	now := time.UnixMilli(time.Now().UnixMilli())
	for i, e := range entries {
		at := b.index.mine(e)
		if at == nil {
			continue
		}
		s, h := b.of(e.Key), at.hold
		if s.pending == nil || s.pending.Position != h.position {
			continue
		}
		d := &journal.DeadLetter{Entry: *s.pending, Buried: now, Cause: causes[i]}
		d.Attempts = at.attempts
		s.bury(d)
		b.pend(s, nil)
		b.then = append(b.then, func() {
			if at.hold == h {
				h.position = 0 // Done takes nothing away any more, also not what somebody has retried meanwhile
			}
		})
	}
}

// Retry implements journal.Queue.
func (b *Batch) Retry(keys []string) (n int) {
	for _, key := range b.letters(keys) {
		s := b.of(key)
		if s.dead == nil {
			continue
		}
		if s.pending == nil {
			e := s.dead.Entry
			e.Attempts = 0
			b.pend(s, &e)
			n++
		}
		s.bury(nil)
	}
	return n
}

// Purge implements journal.Queue.
func (b *Batch) Purge(keys []string) (n int) {
	for _, key := range b.letters(keys) {
		if s := b.of(key); s.dead != nil {
			s.bury(nil)
			n++
		}
	}
	return n
}

// letters returns the keys, or if there are none those of all dead letters, in the order of their positions.
func (b *Batch) letters(keys []string) []string {
	if len(keys) > 0 {
		return keys
	}
	var found []*journal.DeadLetter
	for key, d := range b.index.dead {
		if b.staged[key] == nil {
			found = append(found, d)
		}
	}
	for _, s := range b.order {
		if s.dead != nil {
			found = append(found, s.dead)
		}
	}
	slices.SortFunc(found, func(a, b *journal.DeadLetter) int { return cmp.Compare(a.Position, b.Position) })
	for _, d := range found {
		keys = append(keys, d.Key)
	}
	return keys
}
