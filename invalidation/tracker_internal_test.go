package invalidation

import "testing"

func TestTheTrackerMissesNothingUnseen(t *testing.T) {
	t.Parallel()
	one, two := Incarnation{1}, Incarnation{2}
	at := tracker{at: Position{one, 5}, subscribed: true}
	for _, c := range []struct {
		name  string
		from  tracker
		frame bool // else a subscription
		p     Position
		want  verdict
	}{
		{"a frame before any subscription", tracker{}, true, Position{one, 4}, verdict{reason: FlushSubscribed, to: Position{one, 3}}},
		{"the first subscription", tracker{}, false, Position{one, 5}, verdict{reason: FlushSubscribed, to: Position{one, 5}}},
		{"the first subscription, to an empty log", tracker{}, false, Position{one, 0}, verdict{reason: FlushSubscribed, to: Position{one, 0}}},

		{"an old frame", at, true, Position{one, 1}, verdict{ignore: true}},
		{"the last frame again", at, true, Position{one, 5}, verdict{ignore: true}},
		{"the next frame", at, true, Position{one, 6}, verdict{}},
		{"a frame further on", at, true, Position{one, 8}, verdict{reason: FlushGap, behind: true, to: Position{one, 7}}},
		{"the next frame of another log", at, true, Position{two, 6}, verdict{reason: FlushIncarnation, to: Position{two, 5}}},
		{"the first frame of another log", at, true, Position{two, 1}, verdict{reason: FlushIncarnation, to: Position{two, 0}}},
		{"a frame of no place", at, true, Position{two, 0}, verdict{ignore: true}},

		{"a subscription that missed nothing", at, false, Position{one, 5}, verdict{ignore: true}},
		{"a subscription that missed something", at, false, Position{one, 9}, verdict{reason: FlushSubscribed, behind: true, to: Position{one, 9}}},
		{"a head that fell back", at, false, Position{one, 3}, verdict{reason: FlushSubscribed, to: Position{one, 3}}},
		{"a subscription to another log", at, false, Position{two, 5}, verdict{reason: FlushIncarnation, to: Position{two, 5}}},
		{"a subscription to another log, further on", at, false, Position{two, 9}, verdict{reason: FlushIncarnation, to: Position{two, 9}}},
	} {
		tr, got := c.from, verdict{}
		if c.frame {
			got = tr.judge(c.p)
		} else {
			got = tr.subscribe(c.p)
		}
		if got != c.want || tr != c.from {
			t.Errorf("%s: %+v, want %+v; the tracker moved from %+v to %+v", c.name, got, c.want, c.from, tr)
		}
	}
}

func TestAHeartbeatCountsOnceNothingIsMissing(t *testing.T) {
	t.Parallel()
	tr := tracker{at: Position{Incarnation{1}, 5}, subscribed: true}
	wantDue := func(what string, want uint64) {
		t.Helper()
		if got := tr.due(); got != want {
			t.Errorf("%s: heartbeat %d counts, want %d", what, got, want)
		}
	}
	tr.advance()
	tr.beat(3)
	wantDue("the next frame", 3)
	wantDue("once", 0)
	tr.open(Position{Incarnation{1}, 9})
	for _, number := range []uint64{4, 5} {
		tr.advance()
		tr.beat(number)
		wantDue("behind", 0)
	}
	tr.advance()
	wantDue("caught up", 5)
	tr.open(Position{Incarnation{1}, 12})
	tr.advance()
	tr.beat(6)
	tr.reset(Position{Incarnation{1}, 12})
	wantDue("after a flush", 0)
	if !tr.subscribed || tr.at.N != 12 {
		t.Errorf("after a flush: %+v", tr)
	}
}
