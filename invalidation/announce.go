package invalidation

import (
	"context"
	"fmt"
	"sync"
)

const (
	// batchBytes ends a batch: a server works on one thing at a time, and a publish should be short. One announcement
	// alone may be larger.
	batchBytes = 1 << 20
	// queueBytes bounds what may wait to be published.
	queueBytes = 16 << 20
)

// queue holds the announcements that wait while others are being published.
type queue struct {
	// mu guards the rest, save the channels themselves.
	mu      sync.Mutex
	waiting []*announcement
	bytes   int
	closed  bool

	ready chan struct{} // there may be something; capacity 1
	idle  chan struct{} // closed when the publisher has ended
}

type announcement struct {
	messages []Message
	bytes    int
	result   chan published // capacity 1
}

type published struct {
	position Position
	err      error
}

func (q *queue) init() {
	q.ready = make(chan struct{}, 1)
	q.idle = make(chan struct{})
}

func (q *queue) push(a *announcement) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return fmt.Errorf("invalidation: announce: %w", ErrClosed)
	case q.bytes > 0 && q.bytes+a.bytes > queueBytes:
		return fmt.Errorf("invalidation: announce: %d bytes are waiting to be published: %w", q.bytes, ErrUnavailable)
	}
	q.waiting = append(q.waiting, a)
	q.bytes += a.bytes
	wake(q.ready)
	return nil
}

// take returns the next batch. more is false when there is none and never will be.
func (q *queue) take() (batch []*announcement, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size, n := 0, 0
	for n < len(q.waiting) && (n == 0 || size+q.waiting[n].bytes <= batchBytes) {
		size += q.waiting[n].bytes
		n++
	}
	batch = q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.bytes -= size
	return batch, n > 0 || !q.closed
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	wake(q.ready)
}

// wake signals a channel of capacity 1.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// announce queues validated messages and waits for the outcome.
func (b *Bus) announce(ctx context.Context, messages []Message) (Position, error) {
	a := &announcement{messages: messages, result: make(chan published, 1)}
	for _, m := range messages {
		a.bytes += len(m.Cache) + 8
		for _, key := range m.Keys {
			a.bytes += len(key) + 3
		}
	}
	if a.bytes > MaxAnnouncement {
		return Position{}, fmt.Errorf("invalidation: announce %d bytes, at most %d: announce in parts, or a clear: %w",
			a.bytes, MaxAnnouncement, ErrTooLarge)
	}
	if err := b.queue.push(a); err != nil {
		return Position{}, err
	}
	select {
	case p := <-a.result:
		return p.position, p.err
	case <-ctx.Done():
	}
	select {
	case p := <-a.result: // an answer that is there is worth more than an unknown outcome
		return p.position, p.err
	default:
		return Position{}, ctx.Err()
	}
}

// publish is the goroutine that takes what queued while the last publish flew and publishes it together. Ended by
// queue.close, joined by queue.idle.
func (b *Bus) publish() {
	defer close(b.queue.idle)
	for {
		batch, more := b.queue.take()
		if !more {
			return
		}
		if len(batch) == 0 {
			<-b.queue.ready
			continue
		}
		p := packer{node: b.node}
		messages := 0
		for _, a := range batch {
			messages += len(a.messages)
			for _, m := range a.messages {
				p.add(m)
			}
		}
		p.flush()
		position, err := b.append(b.ctx, p.frames)
		switch {
		case err == nil:
			b.count.announced.Add(uint64(messages))
			b.count.published.Add(uint64(len(p.frames)))
			b.nodes.published(position)
		case b.ctx.Err() != nil:
			err = fmt.Errorf("invalidation: announce: %w", ErrClosed)
		default:
			err = fmt.Errorf("invalidation: announce: %w", err)
		}
		for _, a := range batch {
			a.result <- published{position, err}
		}
	}
}
