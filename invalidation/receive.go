package invalidation

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The pause between two tries to subscribe.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// receive is the goroutine that applies the log; the tracker and all calls of handlers belong to it. Ended by b.ctx.
func (b *Bus) receive() {
	var t tracker
	pause, failing := firstPause, false
	for {
		d, err := b.transport.Receive(b.ctx)
		switch {
		case err == nil:
			pause, failing = firstPause, false
			b.dispatch.Lock()
			b.deliver(&t, d)
			b.dispatch.Unlock()
			continue
		case b.ctx.Err() != nil, errors.Is(err, ErrClosed):
			return
		}
		if !failing {
			failing = true
			b.emit(Event{Kind: EventUnavailable, Err: err})
		}
		if !sleep(b.ctx, pause/2+rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver acts on one delivery.
func (b *Bus) deliver(t *tracker, d Delivery) {
	switch d.Kind {
	case Subscribed:
		b.count.subscriptions.Add(1)
		reason := t.subscribe(d.Position)
		b.flush(reason)
		b.applied(t.at)
		b.beatSoon()
	case Hint:
		c, err := decode(d.Frame)
		if err != nil || c.kind != frameHint {
			b.drop(err)
			return
		}
		if c.node != b.node { // Wake has told this node already
			b.hints.signal(c.topic)
		}
	case Frame:
		b.frame(t, d)
	}
}

// frame acts on an entry of the log.
func (b *Bus) frame(t *tracker, d Delivery) {
	v := t.judge(d.Position)
	if v.ignore {
		b.count.duplicates.Add(1)
		return
	}
	c, err := decode(d.Frame)
	if err != nil || c.kind == frameHint {
		b.drop(err) // the tracker stays: to the next frame this one is a gap
		return
	}
	b.count.received.Add(1)
	if v.flush != "" {
		if v.flush == FlushGap {
			b.count.gaps.Add(1)
		}
		b.flush(v.flush)
		b.beatSoon()
	}
	attached := b.attachments()
	own := c.node == b.node
	for _, m := range c.messages {
		if a := attached[m.Cache]; a != nil {
			a.handler.Apply(d.Position, own, m)
		}
	}
	t.advance(d.Position)
	b.applied(t.at)
	switch {
	case c.kind == frameRegister:
		b.changes.signal(c.topic)
	case c.kind == frameHeartbeat && own:
		b.echo(c.heartbeat.number, attached)
	case c.kind == frameHeartbeat:
		b.compare(c.node, c.heartbeat.caches, attached)
	}
}

// applied publishes the position that the handlers have seen.
func (b *Bus) applied(p Position) { b.position.Store(&p) }

// flush tells every handler and every watcher of a register that something may have been missed, and from then on trusts only
// heartbeats yet to be sent.
func (b *Bus) flush(reason string) {
	b.changes.signalAll()
	for _, a := range b.attachments() {
		a.handler.Flush(reason)
	}
	b.beats.forget()
	b.count.flushed(reason)
	b.emit(Event{Kind: EventFlush, Reason: reason})
}

// drop counts a frame that cannot be used.
func (b *Bus) drop(err error) {
	b.count.dropped.Add(1)
	if err == nil {
		err = errFrame
	}
	b.emit(Event{Kind: EventDropped, Err: err})
}

// compare looks for other nodes that attached one of our names with other options.
func (b *Bus) compare(node NodeID, theirs []fingerprint, attached map[string]*Attachment) {
	for _, c := range theirs {
		a := attached[c.name]
		if a == nil || a.fingerprint == c.print {
			continue
		}
		if h, ok := a.handler.(MismatchHandler); ok {
			h.Mismatched(c.name, c.print)
		}
		key := mismatch{node: node, theirs: c.print}
		if a.mismatched[key] {
			continue
		}
		if a.mismatched == nil || len(a.mismatched) >= MaxAttachments {
			a.mismatched = map[mismatch]bool{} // bounded: a repeated event is better than a leak
		}
		a.mismatched[key] = true
		b.count.mismatches.Add(1)
		b.emit(Event{Kind: EventMismatch, Cache: c.name, Node: node,
			Err: &mismatchError{cache: c.name, ours: a.fingerprint, theirs: c.print}})
	}
}
