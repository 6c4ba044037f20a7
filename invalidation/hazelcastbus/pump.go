package hazelcastbus

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

const (
	// slice is how long one request waits for entries. It bounds how long a request that nobody answers is waited for, and how
	// long a loss of the log stays unnoticed in which nobody publishes: heartbeats notice sooner.
	slice = 5 * time.Second

	firstPause = 10 * time.Millisecond
	lastPause  = time.Second

	// beginTries bounds how often a subscription looks again because others changed what it looked at.
	beginTries = 10
)

// A pump is the goroutine that reads the log and delivers what is there. It begins each read with the entry that it read last:
// as long as that one is there, unchanged, nothing between it and what follows was lost.
type pump struct {
	*transport
	of      invalidation.Incarnation // of the subscription
	last    entry                    // the last one that was read
	hearing bool                     // the ear has begun
}

func (p *pump) run() {
	pause := firstPause
	for p.ctx.Err() == nil {
		ctx := p.subscribed()
		err := p.begin(ctx)
		if err == nil {
			pause = firstPause
			p.known.note(p.last)
			p.inbox.Deliver(invalidation.Delivery{Kind: invalidation.Subscribed, Position: position(p.of, p.last.seq)})
			p.follow(ctx)
			continue
		}
		if ctx.Err() != nil {
			continue // Reconnect or Close
		}
		err = fmt.Errorf("hazelcastbus: subscribe: %w", err)
		p.life.failed(err)
		p.inbox.Fail(err)
		sleep(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}

// begin finds the incarnation and the head of the log, or gives it a new incarnation.
func (p *pump) begin(ctx context.Context) error {
	if !p.hearing {
		tail, err := p.tail(ctx, p.names.hints)
		if err != nil {
			return err
		}
		p.hearing = true
		p.work.Go(func() { p.hear(tail + 1) }) // as the pump
	}
	for range beginTries {
		of, err := p.incarnation(ctx)
		if err != nil {
			return err
		}
		if of == p.of && of != (invalidation.Incarnation{}) {
			held, err := p.held(ctx)
			if err != nil {
				return err
			}
			if !held {
				p.life.end(of)
			}
		}
		tail, err := p.tail(ctx, p.names.log)
		if err != nil {
			return err
		}
		if tail < 0 || of == (invalidation.Incarnation{}) || p.life.isLost(of) {
			if err := p.open(ctx, of); err != nil {
				return err
			}
			continue
		}
		entries, err := p.read(ctx, p.conn.Timeout(), p.names.log, tail, 0)
		if err != nil {
			return err
		}
		if len(entries) > 0 && entries[0].seq == tail {
			p.of, p.last = of, entries[0]
			p.life.begin(of, tail)
			return nil
		}
	}
	return fmt.Errorf("the log changed at each of %d tries: %w", beginTries, invalidation.ErrUnavailable)
}

// held reports whether the log still has the entry that was read last, or went on so far that it cannot.
func (p *pump) held(ctx context.Context) (bool, error) {
	entries, err := p.read(ctx, p.conn.Timeout(), p.names.log, p.last.seq, 0)
	if err != nil {
		return false, err
	}
	if len(entries) == 0 || entries[0].seq < p.last.seq {
		return false, nil
	}
	return entries[0].seq > p.last.seq || bytes.Equal(entries[0].raw, p.last.raw), nil
}

// open gives the log another incarnation than was, if nobody else does. Those who read it learn of that by the entry.
func (p *pump) open(ctx context.Context, was invalidation.Incarnation) error {
	var next invalidation.Incarnation
	_, _ = rand.Read(next[:]) // never fails
	swapped, err := p.swap(ctx, was, next)
	if err == nil && swapped {
		_, err = p.add(ctx, p.names.log, newItem(next, nil))
	}
	return err
}

// follow delivers what comes, until there must be a new subscription.
func (p *pump) follow(ctx context.Context) {
	pause, least := firstPause, 2
	for {
		entries, err := p.next(ctx, least)
		switch {
		case ctx.Err() != nil:
			return
		case err == errSlice:
			least = 0 // look whether the log is still there
			continue
		case err != nil:
			// The position is kept: what this misses is still there afterwards, or shows as a gap. One lost connection is no news.
			if least == 0 {
				p.inbox.Fail(fmt.Errorf("hazelcastbus: receive: %w", err))
			}
			sleep(ctx, pause)
			pause, least = min(2*pause, lastPause), 0
			continue
		}
		pause, least = firstPause, 2
		if !p.take(entries) {
			return
		}
	}
}

var errSlice = fmt.Errorf("nothing came within %v", slice)

// next reads what follows the last entry, that one first.
func (p *pump) next(ctx context.Context, least int) ([]entry, error) {
	if least == 0 {
		return p.read(ctx, p.conn.Timeout(), p.names.log, p.last.seq, least)
	}
	timed, cancel := context.WithTimeout(ctx, slice)
	defer cancel()
	entries, err := p.read(timed, 2*slice, p.names.log, p.last.seq, least)
	if err != nil && timed.Err() != nil {
		err = errSlice
	}
	return entries, err
}

// take delivers entries, of which the first must be the last one known. It reports false where there must be a new
// subscription, because something was lost, or the incarnation is another one.
func (p *pump) take(entries []entry) bool {
	switch {
	case len(entries) == 0, entries[0].seq < p.last.seq, entries[0].seq == p.last.seq && !bytes.Equal(entries[0].raw, p.last.raw):
		p.life.end(p.of)
		return false
	case entries[0].seq > p.last.seq:
		return false // overwritten: this node was away for too long
	}
	for _, e := range entries[1:] {
		if e.seq != p.last.seq+1 {
			return false // overwritten while the request waited
		}
		of, frame, err := readItem(e.raw)
		if err == nil && (of != p.of || len(frame) == 0) {
			return false // of a node that knows more or less than this one, which the map tells; or a new beginning
		}
		if err != nil {
			frame = append([]byte{}, e.raw...) // somebody else's: to the bus it is unreadable, and what follows is a gap
		}
		p.last = e
		p.life.saw(of, e.seq)
		p.known.note(e)
		p.inbox.Deliver(invalidation.Delivery{Kind: invalidation.Frame, Position: position(p.of, e.seq), Frame: frame})
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
