package filejournal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/internal/index"
)

// maxCommit is how many bytes are written in one commit, or somewhat more.
const maxCommit = 16 << 20

// A queue is a journal.Queue. One goroutine commits its changes: all those that came while it was busy with the ones before.
type queue struct {
	*index.Handle
	index *index.Index
	file  *file
	name  string
	bound int

	wake  chan struct{} // has room for one
	stop  chan struct{} // closed when there are no calls any more
	ended chan struct{} // closed by the goroutine

	mu      sync.Mutex
	waiting []*change // guarded by mu
}

// A change waits to be committed.
type change struct {
	apply    func(*index.Batch)
	size     int
	deadline time.Time // zero for none
	begun    bool      // guarded by the queue's mu
	done     chan error
}

func newQueue(f *file, name string, x *index.Index, bound int) *queue {
	q := &queue{
		Handle: x.Open("filejournal", 0), index: x, file: f, name: name, bound: bound,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go q.commits() // ends with stop; joined by Close
	return q
}

func (q *queue) commits() {
	defer close(q.ended)
	for {
		select {
		case <-q.wake:
		case <-q.stop:
			return
		}
		for changes := q.next(); len(changes) > 0; changes = q.next() {
			applies := make([]func(*index.Batch), len(changes))
			for i, c := range changes {
				applies[i] = c.apply
			}
			err := q.index.Run(func(c index.Changes) error { return q.file.store.commit(q.name, c) }, applies...)
			for _, c := range changes {
				c.done <- err
			}
			runtime.Gosched() // those who were answered may come again before the next commit
		}
	}
}

var errLate = fmt.Errorf("the disk was busy for too long: %w: %w", journal.ErrUnavailable, journal.ErrNotWritten)

// next returns what is to be committed together. It answers those for whom it is too late.
func (q *queue) next() (changes []*change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size, now, n := 0, time.Now(), 0
	for _, c := range q.waiting {
		if size > maxCommit {
			break
		}
		n++
		c.begun = true
		if !c.deadline.IsZero() && now.After(c.deadline) {
			c.done <- errLate
			continue
		}
		size += c.size
		changes = append(changes, c)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	return changes
}

// change commits a change. It returns when that was done, or before it was begun.
func (q *queue) change(ctx context.Context, verb string, c *change) error {
	if err := q.Enter(ctx, verb); err != nil {
		return err
	}
	defer q.Leave()
	c.done = make(chan error, 1)
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // it will look anyway
	}
	var err error
	select {
	case err = <-c.done:
	case <-ctx.Done():
		if q.withdraw(c) {
			err = fmt.Errorf("%w: %w", ctx.Err(), journal.ErrNotWritten)
		} else {
			err = <-c.done
		}
	}
	if err != nil {
		return q.Fail(verb, err)
	}
	return nil
}

// withdraw takes a change back unless it was begun.
func (q *queue) withdraw(c *change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.begun {
		return false
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(other *change) bool { return other == c })
	return true
}

func (q *queue) Append(ctx context.Context, within time.Duration, writes []journal.Write) (receipts []journal.Receipt) {
	c := &change{
		apply:    func(b *index.Batch) { receipts = b.Append(q.bound, writes) },
		deadline: time.Now().Add(within),
	}
	for _, w := range writes {
		c.size += len(w.Key) + len(w.Source) + len(w.Value)
	}
	bounded, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	err := q.change(bounded, "append", c)
	if err == nil {
		return receipts
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = q.Fail("append", errLate)
	}
	if errors.Is(err, journal.ErrNotWritten) || errors.Is(err, journal.ErrClosed) || errors.Is(err, ctx.Err()) {
		return index.Refused(len(writes), err)
	}
	return slices.Repeat([]journal.Receipt{{Err: err}}, len(writes))
}

func (q *queue) Done(ctx context.Context, entries []journal.Entry) error {
	return q.change(ctx, "done", &change{apply: func(b *index.Batch) { b.Done(entries) }})
}

func (q *queue) Bury(ctx context.Context, entries []journal.Entry, causes []string) error {
	return q.change(ctx, "bury", &change{apply: func(b *index.Batch) { b.Bury(entries, causes) }})
}

func (q *queue) Retry(ctx context.Context, keys ...string) (n int, err error) {
	err = q.change(ctx, "retry", &change{apply: func(b *index.Batch) { n = b.Retry(keys) }})
	return n, err
}

func (q *queue) Purge(ctx context.Context, keys ...string) (n int, err error) {
	err = q.change(ctx, "purge", &change{apply: func(b *index.Batch) { n = b.Purge(keys) }})
	return n, err
}

// Close implements journal.Queue.
func (q *queue) Close() error {
	q.End(func() {
		close(q.stop)
		<-q.ended
		q.file.mu.Lock()
		defer q.file.mu.Unlock()
		delete(q.file.open, q.name)
	})
	return nil
}
