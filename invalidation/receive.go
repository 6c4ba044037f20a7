package invalidation

import (
	"context"
	"errors"
	"fmt"
	"math"
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
		b.hint(t, d.Frame)
	case Frame:
		b.frame(t, d)
	}
}

// hint acts on a frame without a position.
func (b *Bus) hint(t *tracker, frame []byte) {
	c, err := b.decode(frame)
	if err == nil && c.kind != frameHint {
		err = fmt.Errorf("%w: kind %d where a hint was due", errFrame, c.kind)
	}
	if err == nil {
		err = b.guard.judge(&c, Position{Incarnation: t.at.Incarnation, N: math.MaxUint64})
	}
	if err != nil {
		b.drop(c.node, err)
		return
	}
	b.guard.mark(&c, t.at)
	if c.node != b.node { // Wake has told this node already
		b.hints.signal(c.topic)
	}
}

// frame acts on an entry of the log. What does not count leaves the tracker where it is: if it does stand in the log, it is a gap to
// the next one.
func (b *Bus) frame(t *tracker, d Delivery) {
	v := t.judge(d.Position)
	if v.ignore {
		b.count.duplicates.Add(1)
		return
	}
	c, err := b.decodeEntry(d.Frame)
	if err == nil {
		err = b.guard.judge(&c, d.Position)
	}
	if err == nil && c.seal.signed && (!t.subscribed || t.foreign(d.Position)) {
		err = fmt.Errorf("%w: at %v", errUnproven, d.Position) // which log is the right one is what a subscription tells
	}
	if err != nil {
		b.drop(c.node, err)
		return
	}
	b.guard.mark(&c, t.at)
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

func (b *Bus) decode(frame []byte) (content, error) {
	return decode(frame, b.guard.ring, b.guard.unsigned)
}

// decodeEntry decodes what stands in the log.
func (b *Bus) decodeEntry(frame []byte) (content, error) {
	c, err := b.decode(frame)
	if err == nil && c.kind == frameHint {
		err = fmt.Errorf("%w: a hint has no place in the log", errFrame)
	}
	return c, err
}

// reapply acts on the frame after the tracker's position as it was read from the log, which may hold what does not count.
func (b *Bus) reapply(t *tracker, c content) {
	next := t.at
	next.N++
	if err := b.guard.judge(&c, next); err != nil {
		if !errors.Is(err, errUnproven) || !b.guard.doubtful(&c) {
			b.drop(c.node, err)
			b.advance(t)
			return
		}
	}
	b.guard.mark(&c, t.at)
	b.apply(t, c)
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
		a := attached[m.Cache]
		switch {
		case a == nil:
		case m.Verb.known():
			a.handler.Apply(next, own, m)
		default:
			a.handler.Flush(FlushVerb)
			b.count.flushed(FlushVerb)
		}
	}
	if c.kind == frameHeartbeat && !own {
		b.compare(c.node, c.heartbeat.caches, attached)
	}
	b.dispatch.Unlock()
	switch {
	case c.kind == frameRegister:
		b.changes.signal(c.topic)
	case c.kind == frameHeartbeat && own:
		t.beat(c.heartbeat.number)
	case c.kind == frameHeartbeat:
		b.nodes.heard(c.node, c.heartbeat, b.beats.last())
		b.echoes.signal(anyEcho)
	}
	b.advance(t)
	b.watchers.announced(next, own, c.messages)
}

// advance moves past the frame after the tracker's position, which was acted on.
func (b *Bus) advance(t *tracker) {
	t.advance()
	b.applied(t.at)
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

// compare looks for other nodes that attached one of our names with other options.
func (b *Bus) compare(node NodeID, theirs []fingerprint, attached map[string]*Attachment) {
	for _, c := range theirs {
		a := attached[c.name]
		if a == nil || a.fingerprint == "" || a.fingerprint == c.print {
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
