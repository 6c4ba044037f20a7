package invalidation

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a bus has counted since it began.
type Stats struct {
	// Position is up to where the log was applied.
	Position Position
	// Announced counts messages that were acknowledged, Published the frames they travelled in.
	Announced, Published uint64
	// Received counts frames applied, heartbeats and own ones included; Duplicates frames that were known already.
	Received, Duplicates uint64
	// Dropped counts frames that did not count, DroppedBy the same by Drop… reason.
	Dropped   uint64
	DroppedBy map[string]uint64
	// Gaps counts skipped positions seen, Subscriptions the subscriptions begun, Reconnects those replaced for silence.
	Gaps, Subscriptions, Reconnects uint64
	// Replays counts the times that what was missed was had again, Replayed its frames. They count as Received, too.
	Replays, Replayed uint64
	// Flushes counts flushes by reason.
	Flushes map[string]uint64
	// Trusted counts the heartbeats that extended trust.
	Trusted uint64
	// HintsLost counts hints that this node could not send.
	HintsLost uint64
	// Mismatches counts the nodes heard of that run a cache of ours with other options.
	Mismatches uint64
	// Lag is how long the last heartbeat that came back was under way, MaxLag the longest that any was: from its sending until all
	// that stood before it in the log was applied.
	Lag, MaxLag time.Duration
	// TrustMargin is for how long the cache with the smallest MaxStaleness may still serve local values if no heartbeat comes back any
	// more; negative since when it may not. LeastTrustMargin is the smallest that it ever was: what is near 0 or below asks for a
	// larger MaxStaleness or a faster bus. Both are 0 before any heartbeat has come back.
	TrustMargin, LeastTrustMargin time.Duration
	// Nodes is how many nodes, this one among them, may serve local values, as far as this one knows from their heartbeats: those that
	// ended otherwise than by Close count for one bound more.
	Nodes int
	// EchoAge is how long ago the newest heartbeat that came back was sent; negative if none has yet.
	EchoAge time.Duration
}

// counters are the running totals of a bus.
type counters struct {
	announced, published, received, duplicates         atomic.Uint64
	dropped                                            [len(dropReasons)]atomic.Uint64
	gaps, subscriptions, reconnects, replays, replayed atomic.Uint64
	trusted, hintsLost, mismatches                     atomic.Uint64
	lag, maxLag                                        atomic.Int64

	// mu guards flushes.
	mu      sync.Mutex
	flushes map[string]uint64
}

func (c *counters) flushed(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flushes == nil {
		c.flushes = map[string]uint64{}
	}
	c.flushes[reason]++
}

// Stats returns a snapshot; the map is the caller's.
func (b *Bus) Stats() Stats {
	c := &b.count
	s := Stats{
		Position: b.Position(), Announced: c.announced.Load(), Published: c.published.Load(), Received: c.received.Load(),
		Duplicates: c.duplicates.Load(), DroppedBy: map[string]uint64{}, Gaps: c.gaps.Load(),
		Replays: c.replays.Load(), Replayed: c.replayed.Load(), Subscriptions: c.subscriptions.Load(), Reconnects: c.reconnects.Load(), Trusted: c.trusted.Load(),
		HintsLost: c.hintsLost.Load(), Mismatches: c.mismatches.Load(), Lag: time.Duration(c.lag.Load()), MaxLag: time.Duration(c.maxLag.Load()),
		Flushes: map[string]uint64{}, EchoAge: -1,
	}
	for i, reason := range dropReasons {
		if n := c.dropped[i].Load(); n > 0 {
			s.Dropped += n
			s.DroppedBy[reason] = n
		}
	}
	last := b.beats.last()
	if !last.IsZero() {
		s.EchoAge = time.Since(last)
	}
	s.TrustMargin, s.LeastTrustMargin = b.beats.margins(b.smallestBound())
	s.Nodes = 1 + b.nodes.live(last)
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, n := range c.flushes {
		s.Flushes[reason] = n
	}
	return s
}
