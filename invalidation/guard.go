package invalidation

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// guard is the state machine that decides which signed frames count. It belongs to the receive goroutine, beside the tracker.
//
// A signed frame tells its node, a sequence, and a base: a position that the log had reached when it was signed. So:
//
//	seen before from this node                        a replay: counts never again
//	base of another log, or not below its place       was never published where it stands: counts never
//	base at or after since                            signed while this node listened: counts, once
//	base before since                                 cannot be told from a frame that went by before this node listened:
//	                                                  where it is read from the log itself, its messages and notices count until
//	                                                  the doubt is closed; everywhere else it does not count
//
// since is where this node began to listen: its first subscription, and anew after each flush, as it does not know what went by.
// The doubt is closed when this node has applied a heartbeat of its own that it sent signedFor after that: the head was a base before
// since earlier than that, and whoever publishes with an older one does it again with a new one before it tells of success. So what
// follows that heartbeat in the log, with a base before since, was acknowledged to nobody.
//
// What does not count never moves the tracker. If it really stands in the log, the next frame shows the gap, and it is read from
// there.
type guard struct {
	ring     *Keyring // nil: nothing is signed, and everything counts
	unsigned bool     // what is not signed counts, too
	since    Position
	began    time.Time // when since was set
	closed   bool
	nodes    map[NodeID]*witness
	clock    uint64 // counts what was marked, for the age of witnesses
}

const (
	// signedFor is how old the base of a signed frame may be for its publisher to be told of success: at that time before it is
	// told, the log's head was the base.
	signedFor = 30 * time.Second

	// maxWitnesses bounds the nodes whose sequences are remembered.
	maxWitnesses = 4096

	// windowSize is how far frames of one node and kind may overtake each other.
	windowSize = 64
)

// witness is what was heard of one node.
type witness struct {
	marked uint64 // guard.clock when it was heard last
	kinds  [maxKind]window
}

// window remembers which sequences have counted.
type window struct {
	highest uint64
	seen    uint64 // bit i: highest-i has
}

func (w *window) has(n uint64) bool {
	switch {
	case n > w.highest:
		return false
	case w.highest-n >= windowSize:
		return true // as if: nobody publishes so many while one is on its way, and is told of success for that
	default:
		return w.seen&(1<<(w.highest-n)) != 0
	}
}

func (w *window) mark(n uint64) {
	if n > w.highest {
		w.seen <<= min(n-w.highest, windowSize)
		w.highest = n
	}
	w.seen |= 1 << (w.highest - n)
}

// Why a signed frame does not count.
var (
	errReplayed = errors.New("published before")
	errUnproven = errors.New("signed before this node listened")
)

// listen begins the watch at a position, before which this node knows nothing.
func (g *guard) listen(at Position) {
	if g.ring != nil {
		g.since, g.began, g.closed = at, time.Now(), false
	}
}

// echoed notes that an own heartbeat was applied.
func (g *guard) echoed(sent time.Time) {
	g.closed = g.closed || sent.Sub(g.began) > signedFor
}

// judge reports why a frame at a position does not count, without remembering it.
func (g *guard) judge(c *content, at Position) error {
	if !c.seal.signed {
		return nil // decodeEntry has seen to that
	}
	base := c.seal.base
	w := g.nodes[c.node]
	switch {
	case w != nil && w.kinds[c.kind].has(c.seal.sequence):
		return fmt.Errorf("%w: frame %d of its kind", errReplayed, c.seal.sequence)
	case base.Incarnation != at.Incarnation || base.N >= at.N:
		return fmt.Errorf("%w: signed for a place after %v", errReplayed, base)
	case base.Incarnation != g.since.Incarnation || base.N < g.since.N:
		return fmt.Errorf("%w: for a place after %v, and listens since %v", errUnproven, base, g.since)
	}
	return nil
}

// doubtful reports whether a frame that is unproven counts all the same where the log has it.
func (g *guard) doubtful(c *content) bool {
	return !g.closed && (c.kind == frameMessages || c.kind == frameRegister)
}

// mark remembers that a frame has counted.
func (g *guard) mark(c *content, at Position) {
	if !c.seal.signed {
		return
	}
	w := g.nodes[c.node]
	if w == nil {
		if len(g.nodes) >= maxWitnesses {
			g.evict(at)
		}
		w = &witness{}
		if g.nodes == nil {
			g.nodes = map[NodeID]*witness{}
		}
		g.nodes[c.node] = w
	}
	g.clock++
	w.marked = g.clock
	w.kinds[c.kind].mark(c.seal.sequence)
}

// evict forgets the eighth of the nodes that was not heard for the longest. What they have published is unproven from then on.
func (g *guard) evict(at Position) {
	ages := make([]uint64, 0, len(g.nodes))
	for _, w := range g.nodes {
		ages = append(ages, w.marked)
	}
	slices.Sort(ages)
	for node, w := range g.nodes {
		if w.marked <= ages[len(ages)/8] {
			delete(g.nodes, node)
		}
	}
	g.listen(at)
}
