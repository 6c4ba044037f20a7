package invalidation

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// A Change is what a watcher is told: that a Message was announced, or, if Missed is not empty, that some may be missing here.
type Change struct {
	// Message is what was announced. All watchers share its Keys, and must not change them. With Missed the Verb is VerbClear, so that
	// who treats it as one does what is right, and Cache is empty, which stands for all that are watched, or names the one at issue.
	Message
	// Position is its place in the log; with Missed, the last place of which something may be missing.
	Position Position
	// Own says that this very node announced it.
	Own bool
	// Missed is empty, or says why: one of the Flush… constants, or MissedSlow.
	Missed string
}

// MissedSlow is why a watcher missed something that its node has heard: it did not take it in time.
const MissedSlow = "slow"

// Bounds of what waits for one watcher.
const (
	watchedChanges = 4096
	watchedBytes   = 4 << 20
)

// Watch tells what is announced, on this node and others, for the caches of these names, or for all if none is named; they need not be
// attached. Whatever is announced after Watch has returned comes as a Change, in the order of the log, once the handlers of
// this node have applied it. In the place of what does not come, because this node could not have it or the watcher was too slow, comes
// a Change with Missed; so it does for the first subscription, if that is still to come. Publishers may repeat themselves, so changes
// may too. While the bus is silent nothing is told: see Stats.EchoAge.
//
//	changes, err := bus.Watch(ctx, "products")
//	for change := range changes {
//		switch {
//		case change.Missed != "": // forget everything
//		case change.Verb == invalidation.VerbInvalidate: // forget change.Keys
//		…
//
// The sequence waits for the next change, and ends when ctx does or the bus closes, or with the first loop over it. Until then at
// most 4096 changes and about 4 MiB wait for it: what comes on top of that takes the place of all that waits, and is preceded by
// MissedSlow. The bus never waits for a watcher, so a loop may take its time, use caches, and close them and the bus.
//
// It fails with ErrClosed, with the error of ctx, or if a name cannot be one.
func (b *Bus) Watch(ctx context.Context, caches ...string) (iter.Seq[Change], error) {
	for _, name := range caches {
		if name == "" || len(name) > MaxName {
			return nil, fmt.Errorf("invalidation: watch: a name has 1 to %d bytes, got %d", MaxName, len(name))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &watcher{caches: slices.Clone(caches), ready: make(chan struct{}, 1)}
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("invalidation: watch: %w", ErrClosed)
	}
	b.watchers.add(w)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.ctx, cancel)
	context.AfterFunc(ctx, func() { // however it ends
		stop()
		b.watchers.remove(w)
	})
	return func(yield func(Change) bool) {
		defer cancel()
		over := func() bool { return ctx.Err() != nil || b.ctx.Err() != nil } // ctx ends a little later than b.ctx
		for !over() {
			for _, change := range w.take() {
				if over() || !yield(change) {
					return
				}
			}
			select {
			case <-w.ready:
			case <-ctx.Done():
			}
		}
	}, nil
}

// watchers are all who watch a bus.
type watchers struct {
	// mu guards changes of list, which is replaced, never changed: the receive goroutine reads it without a lock.
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher] // nil: there are none
}

func (s *watchers) add(w *watcher) {
	s.replace(func(all []*watcher) []*watcher { return append(all, w) })
}

func (s *watchers) remove(w *watcher) {
	s.replace(func(all []*watcher) []*watcher {
		return slices.DeleteFunc(all, func(other *watcher) bool { return other == w })
	})
}

// replace lets change have a copy of the list, and takes what it makes of that.
func (s *watchers) replace(change func([]*watcher) []*watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*watcher
	if old := s.list.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = change(all); len(all) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&all)
}

// announced tells of messages that were applied.
func (s *watchers) announced(at Position, own bool, messages []Message) {
	list := s.list.Load()
	if list == nil {
		return
	}
	for _, m := range messages {
		change := Change{Message: m, Position: at, Own: own}
		if !m.Verb.known() {
			change.Message = Message{Verb: VerbClear, Cache: m.Cache, Node: m.Node}
			change.Missed = FlushVerb
		}
		for _, w := range *list {
			w.tell(change)
		}
	}
}

// missed tells that what stands in the log up to a position may be missing.
func (s *watchers) missed(reason string, through Position) {
	list := s.list.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		w.tell(missed(reason, through))
	}
}

func missed(reason string, through Position) Change {
	return Change{Message: Message{Verb: VerbClear}, Position: through, Missed: reason}
}

// watcher is who watches.
type watcher struct {
	caches []string      // none: all
	ready  chan struct{} // there is something in waiting; capacity 1

	// mu guards the rest.
	mu      sync.Mutex
	waiting []Change
	bytes   int // of waiting, roughly
}

// tell hands a change over, and does not wait.
func (w *watcher) tell(c Change) {
	everywhere := c.Missed != "" && c.Cache == ""
	if !everywhere && len(w.caches) > 0 && !slices.Contains(w.caches, c.Cache) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	size := c.size()
	if n := len(w.waiting); n == watchedChanges || n > 0 && w.bytes+size > watchedBytes {
		w.waiting = []Change{missed(MissedSlow, w.waiting[n-1].Position)}
		w.bytes = 0
	}
	w.waiting = append(w.waiting, c)
	w.bytes += size
	wake(w.ready)
}

// take returns what waits.
func (w *watcher) take() []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.waiting
	w.waiting, w.bytes = nil, 0
	return all
}

// size is roughly how many bytes the keys take.
func (c *Change) size() (n int) {
	for _, key := range c.Keys {
		n += len(key) + 16
	}
	return n
}
