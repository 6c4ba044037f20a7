package tier_test

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A race is one order of events in which a write would leave an old value behind, were it not for one mechanism. What it returns
// is what a reader has who must not have "old".
type race struct {
	name string
	off  weaken.Mechanism
	play func(s *scene) (got string)
}

// The races of writes that get no answer.
var doubtful = []race{
	{"who wrote reads what it could not delete", weaken.RepairBypass, func(s *scene) string {
		s.get(s.a)
		s.faults.set(fault.Drop(nil).If(fault.On(fault.Delete)))
		s.source.Put(1, "new")
		wantErr(s, s.a.Invalidate(s.Context(), 1), tier.ErrInvalidationPending)
		return s.get(s.a)
	}},
	{"what was asked for before a doubt is used after it", weaken.RepairBypass, func(s *scene) string {
		// The reply is on its way while the remote tier goes back to what it was, which somebody notices, doubts, and repairs.
		remote := &withReply{Remote: s.env.Remote}
		store := backend.New(remote)
		s.Cleanup(func() { store.Close() })
		c := tiertest.Node(s.T, s.env, "c", &options{Remote: store, Policy: aside(s.source)})
		s.get(s.b)
		s.env.Hub.Stop() // so that no announcement makes c look again
		notice := func() {
			s.source.Put(1, "new")
			tier.Doubt(c, 1)
			s.rest(time.Second)
		}
		remote.once.Store(&notice)
		return s.get(c)
	}},
	{"nobody deletes what could not be deleted", weaken.Repair, func(s *scene) string {
		s.get(s.a)
		s.faults.set(fault.Drop(nil).If(fault.On(fault.Delete)))
		s.source.Put(1, "new")
		err := s.a.Invalidate(s.Context(), 1)
		if err == nil {
			s.Error("a delete that got lost was acknowledged")
		}
		s.faults.set(nil)
		s.rest(time.Minute)
		return s.get(s.b)
	}},
}

// Not parallel: the switches are the process's.
func TestEachMechanismOfWritesIsWhatPreventsAnOldValue(t *testing.T) {
	for _, r := range doubtful {
		run := func(t *testing.T) (got string) {
			play(t, options{MaxStaleness: time.Minute}, func(s *scene) { got = r.play(s) })
			return got
		}
		t.Run(r.name, func(t *testing.T) {
			if got := run(t); got == "old" {
				t.Error("the old value was served")
			}
			defer weaken.Switch(r.off)()
			if got := run(t); got != "old" {
				t.Errorf("%q without %v: this test proves nothing", got, r.off)
			}
		})
	}
}
