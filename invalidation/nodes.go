package invalidation

import (
	"context"
	"sync"
	"time"
)

// nodes is what heartbeats tell of the other nodes: up to where each has applied the log, and for how long it may serve what it
// holds without being heard.
//
// A node serves local values until the send time of its newest heartbeat in the log plus its bound. So a node that died, or was
// cut off, stops counting when this one knows all of the log up to a bound later: when an own heartbeat came back that was
// sent that long after the node was last heard. That it is merely not heard here, because this node is cut off itself, proves
// nothing, and no time passes for it.
type nodes struct {
	// mu guards the rest. Nothing is called while it is held.
	mu        sync.Mutex
	by        map[NodeID]peer
	since     time.Time // from when on every heartbeat was heard; zero before the first subscription
	announced Position  // the newest that this node announced, unless it is of a former incarnation
}

// A peer is one other node.
type peer struct {
	applied Position
	heard   time.Time // when its newest heartbeat was applied here
	bound   time.Duration
}

const (
	// maxPeers bounds the nodes that are remembered.
	maxPeers = 1 << 14
	// maxPeerBound bounds for how long a node counts that is not heard any more, whatever it says of itself.
	maxPeerBound = time.Hour
)

// heard takes a heartbeat of another node.
func (n *nodes) heard(id NodeID, h heartbeat, echo time.Time) {
	bound := time.Duration(min(h.bound, uint64(maxPeerBound/time.Millisecond))) * time.Millisecond
	if bound == 0 {
		bound = DefaultMaxStaleness // an older version, which does not tell
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.by[id]; !known && len(n.by) >= maxPeers {
		for old, p := range n.by {
			if n.silentLocked(p, echo) {
				delete(n.by, old)
			}
		}
		if len(n.by) >= maxPeers {
			clear(n.by)
			n.since = time.Now() // nothing is known of anybody now
		}
	}
	if n.by == nil {
		n.by = map[NodeID]peer{}
	}
	n.by[id] = peer{applied: h.applied, heard: time.Now(), bound: bound}
}

// silentLocked reports whether p has served nothing local when echo, the newest heartbeat of this node that came back, was sent.
func (n *nodes) silentLocked(p peer, echo time.Time) bool {
	last := p.heard
	if last.Before(n.since) {
		last = n.since
	}
	return echo.Sub(last) >= p.bound
}

// live returns how many other nodes may serve local values, as far as is known when echo is the newest own heartbeat that came back.
func (n *nodes) live(echo time.Time) (live int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.by {
		if !n.silentLocked(p, echo) {
			live++
		}
	}
	return live
}

// missed notes that heartbeats may have been missed, and that this node is in an incarnation now.
func (n *nodes) missed(in Incarnation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.since = time.Now()
	if n.announced.Incarnation != in {
		n.announced = Position{} // what was announced before is below where this node begins
	}
}

// published notes a position that this node was given.
func (n *nodes) published(p Position) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !p.Before(n.announced) {
		n.announced = p
	}
}

// newest is the position that others have to reach: up to where this node has applied the log, or what it announced itself.
func (n *nodes) newest(applied Position) Position {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.announced.IsZero() || n.announced.Before(applied) {
		return applied
	}
	return n.announced
}

// reached reports whether every node that may serve local values has applied the log up to target. A node that was not heard since
// heartbeats may have been missed counts until least has passed.
func (n *nodes) reached(target Position, echo time.Time, least time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if target.IsZero() || n.since.IsZero() || echo.Sub(n.since) < least {
		return false
	}
	for id, p := range n.by {
		if n.silentLocked(p, echo) {
			delete(n.by, id)
		} else if order, ok := p.applied.Compare(target); !ok || order < 0 {
			return false
		}
	}
	return true
}

// WaitForNodes returns when every node has applied what this one has announced and heard so far: then no node serves a local
// value from before it any more. It costs no message: it waits for the heartbeats that all send anyway, about a fifth of a
// bound for nodes that are well.
//
// A node counts until it closed its bus after its caches, or until its own bound has passed since it was last heard: one that
// was killed or cut off serves nothing local by then. For nodes of versions that do not tell their bound that is
// [DefaultMaxStaleness], and so long at least this one listens after it subscribed, or flushed, before it believes
// that it knows everybody. A node that never reached the bus is not known; it keeps to its bound by itself.
//
// It returns the error of ctx, which should have a deadline: while this node is cut off it waits. After Close it is ErrClosed.
func (b *Bus) WaitForNodes(ctx context.Context) (err error) {
	ctx, leave, err := b.enter(ctx, "wait for nodes")
	if err != nil {
		return err
	}
	defer leave(&err)
	news, stop := b.echoes.watch(anyEcho)
	defer stop()
	least := max(b.smallestBound(), DefaultMaxStaleness)
	at := b.Position()
	target := b.nodes.newest(at)
	for {
		// Whoever is in another incarnation has flushed on its way there.
		if now := b.Position(); now.Incarnation != at.Incarnation {
			if at = now; target.Incarnation != now.Incarnation {
				target = now
			}
		}
		if b.nodes.reached(target, b.beats.last(), least) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// largestBound is the largest MaxStaleness attached, in milliseconds: for how long this node may serve local values after it was
// last heard.
func (b *Bus) largestBound() uint64 {
	largest := b.smallestBound()
	for _, a := range b.attachments() {
		largest = max(largest, a.maxStaleness)
	}
	return uint64((largest + time.Millisecond - 1) / time.Millisecond)
}

// leaveTimeout bounds the last heartbeat of a bus that closes.
const leaveTimeout = 250 * time.Millisecond

// sayLeaving tells the others that this node serves nothing local any more, if that is so.
func (b *Bus) sayLeaving() {
	if len(b.attachments()) > 0 || b.beats.last().IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	// On an error it counts for a bound more. A bound of none would be one that is not told.
	last := encodeHeartbeat(b.node, heartbeat{number: b.beats.begin(), applied: b.Position(), bound: 1})
	_, _, _ = b.send(ctx, [][]byte{last}, b.Position())
}
