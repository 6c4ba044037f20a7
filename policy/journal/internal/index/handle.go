package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// A Handle is the part of a journal.Queue for which no file is needed, on an index. What one handle has taken others may take when it
// is closed, or has been silent for too long.
type Handle struct {
	index    *Index
	name     string
	takeOver time.Duration

	mu     sync.Mutex // taken before that of the index
	closed chan struct{}
	ended  bool           // guarded by mu; closed is closed
	calls  sync.WaitGroup // added to with mu held while not ended
	end    sync.Once
}

// Open returns a handle, which has a name for errors. takeOver is 0 where nobody takes over from who is silent.
func (x *Index) Open(name string, takeOver time.Duration) *Handle {
	return &Handle{index: x, name: name, takeOver: takeOver, closed: make(chan struct{})}
}

// Enter begins a call, which ends with Leave unless there is an error. Close waits for it.
func (h *Handle) Enter(ctx context.Context, verb string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return h.Fail(verb, journal.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return h.Fail(verb, err)
	}
	h.calls.Add(1)
	return nil
}

// Leave ends a call.
func (h *Handle) Leave() { h.calls.Done() }

// Fail returns err with what was to be done.
func (h *Handle) Fail(verb string, err error) error {
	return fmt.Errorf("%s: %s: %w", h.name, verb, err)
}

// Refused are the receipts of n writes that were not accepted.
func Refused(n int, err error) []journal.Receipt {
	if !errors.Is(err, journal.ErrNotWritten) {
		err = fmt.Errorf("%w: %w", err, journal.ErrNotWritten)
	}
	return slices.Repeat([]journal.Receipt{{Err: err}}, n)
}

// copied returns an entry that is the caller's.
func copied(e *journal.Entry) journal.Entry {
	out := *e
	out.Source, out.Value = slices.Clone(e.Source), slices.Clone(e.Value)
	return out
}

// show returns the entry of a slot that has one. It is called with the index's mu held.
func (s *slot) show() journal.Entry {
	e := copied(s.pending)
	e.Attempts = s.attempts
	return e
}

// Pending implements journal.Queue.
func (h *Handle) Pending(ctx context.Context, keys []string) ([]journal.Entry, error) {
	if err := h.Enter(ctx, "pending"); err != nil {
		return nil, err
	}
	defer h.Leave()
	entries := make([]journal.Entry, len(keys))
	h.index.mu.Lock()
	defer h.index.mu.Unlock()
	for i, key := range keys {
		if s := h.index.slots[key]; s != nil && s.pending != nil {
			entries[i] = s.show()
		}
	}
	return entries, nil
}

// Take implements journal.Queue.
func (h *Handle) Take(ctx context.Context, n int) ([]journal.Entry, error) {
	if err := h.Enter(ctx, "take"); err != nil {
		return nil, err
	}
	defer h.Leave()
	for {
		entries, listed, again := h.take(n)
		if len(entries) > 0 {
			return entries, nil
		}
		overdue := time.NewTimer(again)
		select {
		case <-listed:
		case <-overdue.C:
		case <-ctx.Done():
			overdue.Stop()
			return nil, h.Fail("take", ctx.Err())
		case <-h.closed:
			overdue.Stop()
			return nil, h.Fail("take", journal.ErrClosed)
		}
		overdue.Stop()
	}
}

// take returns up to n entries, or what tells when it is worth to look again.
func (h *Handle) take(n int) (entries []journal.Entry, listed <-chan struct{}, again time.Duration) {
	x := h.index
	x.mu.Lock()
	defer x.mu.Unlock()
	again = x.expire(h.takeOver)
	now := time.Now()
	for len(entries) < n && x.waiting.Len() > 0 {
		s := x.waiting.Remove(x.waiting.Front()).(*slot)
		x.counter++
		s.hold = &hold{by: h, ticket: strconv.FormatUint(x.counter, 36), position: s.pending.Position, merged: s.pending.Merged, kept: now}
		s.at = x.held.PushBack(s)
		s.attempts++
		e := s.show()
		e.Ticket = s.hold.ticket
		entries = append(entries, e)
	}
	if len(entries) == 0 && x.listed == nil {
		x.listed = make(chan struct{})
	}
	return entries, x.listed, again
}

// Keep implements journal.Queue.
func (h *Handle) Keep(ctx context.Context, entries []journal.Entry) error {
	return h.each(ctx, "keep", entries, func(s *slot) {
		s.hold.kept = time.Now()
		h.index.held.MoveToBack(s.at)
	})
}

// Return implements journal.Queue.
func (h *Handle) Return(ctx context.Context, entries []journal.Entry) error {
	return h.each(ctx, "return", entries, func(s *slot) {
		h.index.giveBack(s)
	})
}

// each calls f for what is still the caller's.
func (h *Handle) each(ctx context.Context, verb string, entries []journal.Entry, f func(*slot)) error {
	if err := h.Enter(ctx, verb); err != nil {
		return err
	}
	defer h.Leave()
	h.index.mu.Lock()
	defer h.index.mu.Unlock()
	for _, e := range entries {
		if s := h.index.mine(e); s != nil {
			f(s)
		}
	}
	return nil
}

// pendingLocked returns what is pending, in the order of the positions.
func (x *Index) pendingLocked() []journal.Entry {
	entries := make([]journal.Entry, 0, x.depth)
	for _, s := range x.slots {
		if s.pending != nil {
			e := *s.pending
			e.Attempts = s.attempts
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int { return cmp.Compare(a.Position, b.Position) })
	return entries
}

// List implements journal.Queue.
func (h *Handle) List(ctx context.Context, f func(journal.Entry) bool) error {
	if err := h.Enter(ctx, "list"); err != nil {
		return err
	}
	defer h.Leave()
	h.index.mu.Lock()
	entries := h.index.pendingLocked()
	h.index.mu.Unlock()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return h.Fail("list", err)
		}
		if !f(copied(&e)) {
			break
		}
	}
	return nil
}

// Dead implements journal.Queue.
func (h *Handle) Dead(ctx context.Context, f func(journal.DeadLetter) bool) error {
	if err := h.Enter(ctx, "dead"); err != nil {
		return err
	}
	defer h.Leave()
	h.index.mu.Lock()
	letters := make([]*journal.DeadLetter, 0, len(h.index.dead))
	for _, d := range h.index.dead {
		letters = append(letters, d)
	}
	h.index.mu.Unlock()
	slices.SortFunc(letters, func(a, b *journal.DeadLetter) int { return cmp.Compare(a.Position, b.Position) })
	for _, d := range letters {
		if err := ctx.Err(); err != nil {
			return h.Fail("dead", err)
		}
		out := *d
		out.Entry = copied(&d.Entry)
		if !f(out) {
			break
		}
	}
	return nil
}

// Stats implements journal.Queue.
func (h *Handle) Stats(ctx context.Context) (journal.Stats, error) {
	if err := h.Enter(ctx, "stats"); err != nil {
		return journal.Stats{}, err
	}
	defer h.Leave()
	x := h.index
	x.mu.Lock()
	defer x.mu.Unlock()
	s := journal.Stats{Depth: x.depth, Dead: len(x.dead), Merged: x.merged}
	if e := x.waiting.Front(); e != nil {
		s.Oldest = e.Value.(*slot).waits
	}
	for e := x.held.Front(); e != nil; e = e.Next() {
		if at := e.Value.(*slot); at.pending != nil {
			s.Taken++
			if s.Oldest.IsZero() || at.waits.Before(s.Oldest) {
				s.Oldest = at.waits
			}
		}
	}
	return s, nil
}

// End makes all calls fail from now on, ends those that wait, waits for the others, gives back what the handle has, and then calls f.
// Only the first does so; the others wait for that.
func (h *Handle) End(f func()) {
	h.end.Do(func() {
		h.mu.Lock()
		h.ended = true
		close(h.closed)
		h.mu.Unlock()
		h.calls.Wait()
		h.giveAllBack()
		f()
	})
}

func (h *Handle) giveAllBack() {
	x := h.index
	x.mu.Lock()
	defer x.mu.Unlock()
	for e := x.held.Front(); e != nil; {
		next := e.Next()
		if s := e.Value.(*slot); s.hold.by == h {
			x.giveBack(s)
		}
		e = next
	}
}
