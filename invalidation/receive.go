package invalidation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/weaken"
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
			b.deliver(&t, d)
			continue
		case b.ctx.Err() != nil, errors.Is(err, ErrClosed):
			return
		}
		if !failing {
			failing = true
			b.emit(Event{Kind: EventUnavailable, Err: err})
		}
		if !sleep(b.ctx, pause/2+jitter.N(pause/2)) {
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
		b.beats.subscribed()
		b.settle(t, t.subscribe(d.Position))
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
	c, err := decodeEntry(d.Frame)
	if err != nil {
		b.drop(err) // the tracker stays: to the next frame this one is a gap
		return
	}
	if v.reason == FlushGap {
		b.count.gaps.Add(1)
	}
	if c.kind == frameHeartbeat && c.node == b.node && weaken.Off(weaken.TrustGate) {
		b.echo(c.heartbeat.number)
	}
	if b.settle(t, v) {
		b.beatSoon()
	}
	if b.ctx.Err() != nil {
		return // what was missed may still be missing
	}
	b.apply(t, c)
}

// decodeEntry decodes what stands in the log.
func decodeEntry(frame []byte) (content, error) {
	c, err := decode(frame)
	if err == nil && c.kind == frameHint {
		err = fmt.Errorf("%w: a hint has no place in the log", errFrame)
	}
	return c, err
}

// apply acts on the frame after the tracker's position.
func (b *Bus) apply(t *tracker, c content) {
	b.count.received.Add(1)
	own := c.node == b.node
	next := t.at
	next.N++
	b.dispatch.Lock()
	attached := b.attachments()
	for _, m := range c.messages {
		if a := attached[m.Cache]; a != nil {
			a.handler.Apply(next, own, m)
		}
	}
	if c.kind == frameHeartbeat && !own {
		b.compare(c.node, c.heartbeat.caches, attached)
	}
	b.dispatch.Unlock()
	t.advance()
	b.applied(t.at)
	switch {
	case c.kind == frameRegister:
		b.changes.signal(c.topic)
	case c.kind == frameHeartbeat && own:
		t.beat(c.heartbeat.number)
	case c.kind == frameHeartbeat:
		b.nodes.heard(c.node, c.heartbeat, b.beats.last())
		b.echoes.signal(anyEcho)
	}
	if number := t.due(); number > 0 {
		b.echo(number)
	}
}

// applied publishes the position that the handlers have seen.
func (b *Bus) applied(p Position) { b.position.Store(&p) }

// flush tells every handler and every watcher of a register that something may have been missed, and from then on trusts only
// heartbeats yet to be sent. failed is why it could not be had again, if that was tried.
func (b *Bus) flush(reason string, failed error) {
	b.changes.signalAll()
	b.dispatch.Lock()
	for _, a := range b.attachments() {
		a.handler.Flush(reason)
	}
	b.dispatch.Unlock()
	b.beats.forget()
	b.count.flushed(reason)
	b.emit(Event{Kind: EventFlush, Reason: reason, Err: failed})
}

// drop counts a frame that cannot be used.
func (b *Bus) drop(err error) {
	b.count.dropped.Add(1)
	if err == nil { // a frame of the log where a hint was due
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
