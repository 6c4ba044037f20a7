package invalidation

import "github.com/strata-cache/strata/internal/weaken"

// tracker is the state machine of the bus position: it knows up to where this node has applied the log without a gap, and
// whether there is more that it must catch up with.
//
//	none ── first subscription, or frame: flush, at = there ──▶ current
//
//	current (at)            frame at+1: apply it, at = at+1
//	                        frame ≤ at, subscription with the head at: nothing was missed
//	                        another incarnation, or a head below at: flush, at = there
//	  │ frame > at+1, or subscription with a head > at
//	  ▼
//	behind (at, through)    frame at+1, replayed: apply it, at = at+1; current when at = through
//	                        it cannot be had: flush, at = through; current
//
// A heartbeat that came back proves nothing while the node is behind: it counts when the node is current again.
type tracker struct {
	at         Position
	subscribed bool
	through    uint64 // above at.N while the node is behind
	held       uint64 // the newest own heartbeat that was applied and does not count yet; 0 for none
}

// verdict is what to do about a delivery before anything else.
type verdict struct {
	ignore bool     // it was known
	reason string   // why, if something was or may have been missed; else ""
	behind bool     // catch up through to; where that fails, flush
	to     Position // the baseline after a flush
}

// subscribe tells what a new subscription at head means.
func (t *tracker) subscribe(head Position) verdict {
	switch {
	case !t.subscribed:
		return verdict{reason: FlushSubscribed, to: head}
	case t.foreign(head):
		return verdict{reason: FlushIncarnation, to: head}
	case head.N == t.at.N:
		return verdict{ignore: true}
	default: // a head that fell back within its incarnation is a log that did not keep its word
		return verdict{reason: FlushSubscribed, behind: head.N > t.at.N, to: head}
	}
}

// judge tells what a frame at p means, without moving: a frame that turns out unreadable must count as lost, so that the
// next one shows the gap.
func (t *tracker) judge(p Position) verdict {
	before := Position{Incarnation: p.Incarnation, N: p.N - 1}
	switch {
	case p.N == 0:
		return verdict{ignore: true} // no place in a log
	case !t.subscribed:
		return verdict{reason: FlushSubscribed, to: before}
	case t.foreign(p):
		return verdict{reason: FlushIncarnation, to: before}
	case p.N <= t.at.N:
		return verdict{ignore: true}
	case p.N > t.at.N+1:
		return verdict{reason: FlushGap, behind: true, to: before}
	default:
		return verdict{}
	}
}

// foreign reports whether p is of another incarnation. Nothing is known of that one, whatever its numbers say.
func (t *tracker) foreign(p Position) bool {
	if weaken.Off(weaken.IdentityFlush) {
		t.at.Incarnation = p.Incarnation
	}
	return p.Incarnation != t.at.Incarnation
}

// open begins to catch up through a verdict's position.
func (t *tracker) open(through Position) { t.through = through.N }

// reset moves to a baseline after a flush; what was held back is worthless.
func (t *tracker) reset(to Position) { *t = tracker{at: to, subscribed: true} }

// advance moves to the frame after at, which was applied.
func (t *tracker) advance() { t.at.N++ }

// beat notes an own heartbeat that was applied.
func (t *tracker) beat(number uint64) { t.held = max(t.held, number) }

// due returns the heartbeat that counts now, and 0 if there is none.
func (t *tracker) due() (number uint64) {
	if t.at.N < t.through {
		return 0
	}
	number, t.held = t.held, 0
	return number
}
