package invalidation

import (
	"context"
	"sync"
	"time"
)

// beats remembers when heartbeats were sent, until they come back or are forgotten.
type beats struct {
	// mu guards the rest. Nothing is called while it is held.
	mu       sync.Mutex
	next     uint64 // number of the next heartbeat
	floor    uint64 // heartbeats below it were sent before the last flush and prove nothing
	sent     map[uint64]time.Time
	lastEcho time.Time     // send time of the newest heartbeat that came back
	echoed   uint64        // number of that one
	trusted  time.Time     // send time of the newest that extended trust
	margin   time.Duration // the smallest that was left of trust when it was extended; of no meaning before the second time
	extended int           // how often trust was extended: 0, 1, or 2 for more
	heard    time.Time     // since when silence counts: the last echo, replacement or subscription
	patience int           // how many bounds of silence are borne: 1, doubled by each replacement until there is a subscription
}

const (
	// maxUnanswered bounds the heartbeats that are remembered.
	maxUnanswered = 64
	// maxPatience bounds the patience with a subscription that is to come about, which may take longer than a bound.
	maxPatience = 8
)

func (b *beats) init() {
	b.next, b.patience = 1, 1
	b.sent = map[uint64]time.Time{}
	b.heard = time.Now()
}

// begin notes a heartbeat that is about to be sent.
func (b *beats) begin() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.next
	b.next++
	b.sent[n] = time.Now()
	delete(b.sent, n-maxUnanswered)
	return n
}

// forget makes every heartbeat sent so far worthless.
func (b *beats) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.floor = b.next
}

// echo takes a heartbeat that came back: known tells that it was one of ours, trusted that it proves something.
func (b *beats) echo(n uint64) (sent time.Time, known, trusted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent, known = b.sent[n]
	if !known {
		return sent, false, false
	}
	for old := range b.sent {
		if old <= n {
			delete(b.sent, old)
		}
	}
	b.heard = time.Now()
	b.lastEcho, b.echoed = sent, n
	return sent, true, n >= b.floor
}

// trust notes that a heartbeat extends trust, of which bound is the length.
func (b *beats) trust(sent time.Time, bound time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := time.Until(b.trusted.Add(bound)); b.extended == 1 || b.extended == 2 && left < b.margin {
		b.margin = left
	}
	b.trusted, b.extended = sent, min(b.extended+1, 2)
}

// margins returns what is left of trust, and the least that ever was; 0 and 0 if there was none yet.
func (b *beats) margins(bound time.Duration) (now, least time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.extended == 0 {
		return 0, 0
	}
	now = time.Until(b.trusted.Add(bound))
	if least = now; b.extended == 2 {
		least = min(now, b.margin)
	}
	return now, least
}

// subscribed notes a new subscription, on which nothing can have come back yet.
func (b *beats) subscribed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard, b.patience = time.Now(), 1
}

// silent reports whether nothing came back for too long, and if so begins to count anew.
func (b *beats) silent(bound time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.heard) < time.Duration(b.patience)*bound {
		return false
	}
	b.heard, b.patience = now, min(2*b.patience, maxPatience)
	return true
}

// cameBack reports whether a heartbeat came back, or a later one.
func (b *beats) cameBack(n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.echoed >= n
}

func (b *beats) last() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastEcho
}

// interval is the time between two heartbeats.
func (b *Bus) interval() time.Duration {
	if b.every > 0 {
		return b.every
	}
	return b.smallestBound() / heartbeatsPerBound
}

// beatSoon asks for a heartbeat before its time: somebody waits to be trusted.
func (b *Bus) beatSoon() { wake(b.poke) }

// heartbeats is the goroutine that sends heartbeats and notices when none comes back. Ended by b.ctx.
func (b *Bus) heartbeats() {
	failing := false
	for {
		began := time.Now()
		select {
		case <-b.poke: // who asked gets the one that is sent now
		default:
		}
		if b.signer.mute() { // the subscription, which tells of the log, asks for a heartbeat
		} else if _, at, err := b.beat(b.ctx); err == nil {
			failing = false
			if b.signer.strays(at, b.Position()) {
				b.transport.Reconnect() // signed frames do not tell which log is the right one
			}
		} else if b.ctx.Err() == nil && !failing {
			failing = true
			b.emit(Event{Kind: EventUnavailable, Err: err})
		}
		if b.ctx.Err() != nil {
			return
		}
		if bound := max(b.smallestBound(), 2*b.every); b.beats.silent(bound) {
			b.count.reconnects.Add(1)
			b.emit(Event{Kind: EventSilence})
			b.transport.Reconnect()
		}
		// A quarter of an interval at least passes between two heartbeats, whoever asks for one.
		if !sleep(b.ctx, b.interval()/4-time.Since(began)) {
			return
		}
		timer := time.NewTimer(max(0, b.interval()-time.Since(began)))
		select {
		case <-timer.C:
		case <-b.poke:
		case <-b.ctx.Done():
		}
		timer.Stop()
	}
}

// beat appends one heartbeat to the log, and tells where. A server that does not take it within the bound will not make anybody
// trusted.
func (b *Bus) beat(ctx context.Context) (number uint64, at Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.smallestBound())
	defer cancel()
	h := heartbeat{applied: b.Position(), bound: b.largestBound()}
	for _, a := range b.attachments() {
		if a.fingerprint != "" {
			h.caches = append(h.caches, fingerprint{name: a.name, print: a.fingerprint})
		}
	}
	h.number = b.beats.begin()
	at, _, err = b.send(ctx, [][]byte{encodeHeartbeat(b.node, h)}, h.applied)
	return h.number, at, err
}

// echo trusts, if a heartbeat of this node came back that was sent after the last flush: all that the log took before it
// was applied, as the tracker has reached it without a gap, be it by what was delivered or by what was replayed.
func (b *Bus) echo(number uint64) {
	sent, known, trusted := b.beats.echo(number)
	if !known {
		return
	}
	b.guard.echoed(sent)
	lag := time.Since(sent)
	b.count.lag.Store(int64(lag))
	b.count.maxLag.Store(max(b.count.maxLag.Load(), int64(lag))) // the receive goroutine alone writes it
	b.echoes.signal(anyEcho)
	if !trusted {
		return
	}
	b.count.trusted.Add(1)
	b.beats.trust(sent, b.smallestBound())
	b.dispatch.Lock()
	defer b.dispatch.Unlock()
	for _, a := range b.attachments() {
		a.handler.Trust(sent)
	}
}
