package invalidation

import (
	"context"
	"sync"
	"time"
)

const (
	// hintQueue bounds the hints that wait to be sent; more are lost.
	hintQueue = 256
	// hintTimeout bounds the sending of one.
	hintTimeout = 500 * time.Millisecond
)

// topics knows who waits for news of which topic.
type topics struct {
	// mu guards waiting.
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

func (t *topics) init() {
	t.waiting = map[string]map[chan struct{}]struct{}{}
}

// Wake tells whoever waits for topic, here and on other nodes, to look again. It never blocks and may be lost: a waiter must
// also look by itself now and then. Topics of more than MaxKey bytes wake this node only.
func (b *Bus) Wake(topic string) {
	b.hints.signal(topic)
	if len(topic) > MaxKey {
		return
	}
	select {
	case b.outgoing <- topic:
	default:
		b.count.hintsLost.Add(1)
	}
}

// Woken returns a channel that holds a signal after a Wake of topic, one however many there were, and a function that ends
// the interest and must be called.
func (b *Bus) Woken(topic string) (<-chan struct{}, func()) { return b.hints.watch(topic) }

// watch begins an interest in a topic, which the function ends.
func (t *topics) watch(topic string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting[topic] == nil {
		t.waiting[topic] = map[chan struct{}]struct{}{}
	}
	t.waiting[topic][c] = struct{}{}
	return c, func() { t.forget(topic, c) }
}

func (t *topics) forget(topic string, c chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting[topic], c)
	if len(t.waiting[topic]) == 0 {
		delete(t.waiting, topic)
	}
}

// signal wakes the waiters of this node. A send to a channel of capacity 1 with a default does not block.
func (t *topics) signal(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.waiting[topic] {
		wake(c)
	}
}

// signalAll wakes all waiters of this node.
func (t *topics) signalAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, waiting := range t.waiting {
		for c := range waiting {
			wake(c)
		}
	}
}

// sendHints is the goroutine that sends hints, so that Wake need not wait. Ended by b.ctx.
func (b *Bus) sendHints() {
	for {
		select {
		case <-b.ctx.Done():
			return
		case topic := <-b.outgoing:
			ctx, cancel := context.WithTimeout(b.ctx, hintTimeout)
			frame, err := b.signer.one(encodeHint(b.node, topic), b.Position())
			if err == nil {
				err = b.transport.Hint(ctx, frame)
			}
			if err != nil {
				b.count.hintsLost.Add(1)
			}
			cancel()
		}
	}
}
