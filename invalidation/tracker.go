package invalidation

// tracker is the state machine of the bus position: it knows up to where this node has applied the log without a gap.
//
//	         Subscribed(head): flush, at = head
//	none ───────────────────────────────────────▶ at (incarnation, n)
//	                                               │ frame n+1: apply, at = n+1
//	                                               │ frame ≤ n: ignore
//	                                               │ frame > n+1, other incarnation: flush, apply, at = there
type tracker struct {
	at         Position
	subscribed bool
}

// verdict is what to do with a frame.
type verdict struct {
	ignore bool
	flush  string // a reason to flush before the frame is applied, or ""
}

// subscribe takes a new subscription's head as the baseline and returns why everything must be flushed.
func (t *tracker) subscribe(head Position) (reason string) {
	reason = FlushSubscribed
	if t.subscribed && t.at.Incarnation != head.Incarnation {
		reason = FlushIncarnation
	}
	t.at, t.subscribed = head, true
	return reason
}

// judge tells what a frame at p means, without moving: a frame that turns out unreadable must count as lost, so that the
// next one shows the gap.
func (t *tracker) judge(p Position) verdict {
	switch {
	case !t.subscribed:
		return verdict{flush: FlushSubscribed}
	case p.Incarnation != t.at.Incarnation:
		return verdict{flush: FlushIncarnation}
	case p.N <= t.at.N:
		return verdict{ignore: true}
	case p.N > t.at.N+1:
		return verdict{flush: FlushGap}
	default:
		return verdict{}
	}
}

// advance moves to a frame that was judged and read.
func (t *tracker) advance(p Position) { t.at, t.subscribed = p, true }
