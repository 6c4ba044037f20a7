package tier_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A race is one order of events in which a write would leave an old value behind, were it not for one mechanism. What it returns
// is what a reader has who must not have "old".
type race struct {
	name  string
	off   weaken.Mechanism
	bound time.Duration // MaxStaleness; 0 for a minute
	play  func(s *scene) (got string)
}

// The races of writes that get no answer.
var doubtful = []race{
	{name: "who wrote reads what it could not delete", off: weaken.RepairBypass, play: func(s *scene) string {
		s.get(s.a)
		s.faults.set(fault.Drop(nil).If(fault.On(fault.Delete)))
		s.source.Put(1, "new")
		wantErr(s, s.a.Invalidate(s.Context(), 1), tier.ErrInvalidationPending)
		return s.get(s.a)
	}},
	{name: "what was asked for before a doubt is used after it", off: weaken.RepairBypass, play: func(s *scene) string {
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
	{name: "nobody deletes what could not be deleted", off: weaken.Repair, play: func(s *scene) string {
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

// The races of reads with writes that get their answers.
var straddling = []race{
	{name: "a reader of the writer's node takes the old value before the delete arrives", off: weaken.BumpAfter, play: func(s *scene) string {
		s.get(s.b)
		release := make(chan struct{})
		s.faults.set(fault.Hold(release).If(fault.On(fault.Delete)))
		s.source.Put(1, "new")
		done := make(chan error)
		go func() { done <- s.a.Invalidate(s.Context(), 1) }()
		s.rest(0)
		s.get(s.a)
		close(release)
		must(s, <-done)
		return s.get(s.a)
	}},
	{name: "a read joins a load from before the write", off: weaken.JoinCheck, play: func(s *scene) string {
		release := s.source.Block()
		first := getBehind(s.T, s.a)
		must(s, s.source.AwaitLoads(s.Context(), 1))
		s.source.Put(1, "new")
		must(s, s.a.Invalidate(s.Context(), 1))
		second := getBehind(s.T, s.a)
		s.rest(0)
		release()
		<-first
		return (<-second).value
	}},
	{name: "a load from before the write is stored after it", off: weaken.Lease, play: func(s *scene) string {
		s.env.Hub.Pause() // it does not hear of the write
		release := s.source.Block()
		first := getBehind(s.T, s.a)
		must(s, s.source.AwaitLoads(s.Context(), 1))
		s.source.Put(1, "new")
		must(s, s.b.Invalidate(s.Context(), 1))
		release()
		<-first
		return s.get(s.b)
	}},
	{name: "a reply from before the write is kept after it", off: weaken.EpochCheck, play: func(s *scene) string {
		s.get(s.b)
		remote := &withReply{Remote: s.env.Remote}
		store := backend.New(remote)
		s.Cleanup(func() { store.Close() })
		c := tiertest.Node(s.T, s.env, "c", &options{Remote: store, Policy: aside(s.source), MaxStaleness: time.Minute})
		s.rest(time.Second)
		write := func() {
			s.source.Put(1, "new")
			must(s, s.b.Invalidate(s.Context(), 1))
			s.rest(0)
		}
		remote.once.Store(&write)
		s.get(c)
		return s.get(c)
	}},
}

// The races of writes of the source. The writer dies where it says so: it says and hears nothing more.
var fenced = []race{
	{name: "the writer dies between the source and its commit", off: weaken.Fence, play: func(s *scene) string {
		s.begin(s.a)
		s.get(s.b)
		s.source.Put(1, "new")
		s.die()
		return s.get(s.b)
	}},
	{name: "the writer dies after a long time at the source", off: weaken.Renewal, play: func(s *scene) string {
		s.begin(s.a)
		s.rest(10 * time.Second)
		s.get(s.b)
		s.source.Put(1, "new")
		s.die()
		return s.get(s.b)
	}},
	{name: "another delete takes the fence away, and the writer dies", off: weaken.KeepFence, play: func(s *scene) string {
		s.begin(s.a)
		must(s, s.b.Invalidate(s.Context(), 1))
		s.get(s.b)
		s.source.Put(1, "new")
		s.die()
		return s.get(s.b)
	}},
	{name: "another write takes the fence away, and the writer dies", off: weaken.KeepFence, play: func(s *scene) string {
		first, second := s.begin(s.a), s.begin(s.b)
		second.Abort(s.Context(), tier.ErrNotWritten)
		s.get(s.b)
		s.source.Put(1, "new")
		s.die()
		defer first.Abort(s.Context(), tier.ErrNotWritten)
		return s.get(s.b)
	}},
	{name: "the source has it after it said that it failed", off: weaken.SourceSettle, play: func(s *scene) string {
		s.begin(s.a).Abort(s.Context(), nil)
		s.rest(time.Second)
		s.get(s.b)
		s.source.Put(1, "new")
		s.rest(20 * time.Second)
		return s.get(s.b)
	}},
	{name: "a load begun within the write is joined after it", off: weaken.AnnounceAfter, bound: time.Second, play: func(s *scene) string {
		w := s.begin(s.a)
		s.rest(0)
		release := s.source.Block()
		first := getBehind(s.T, s.b)
		must(s, s.source.AwaitLoads(s.Context(), 1))
		s.source.Put(1, "new")
		must(s, w.Set(1, "new"))
		must(s, w.Commit(s.Context()))
		s.rest(2 * time.Second)
		second := getBehind(s.T, s.b)
		s.rest(0)
		release()
		<-first
		return (<-second).value
	}},
	{name: "the fence is gone, and what took its place too", off: weaken.AnnounceAfter, play: func(s *scene) string {
		w := s.begin(s.a)
		s.rest(0)
		s.evict()
		s.get(s.b)
		s.evict()
		s.source.Put(1, "new")
		must(s, w.Set(1, "new"))
		must(s, w.Commit(s.Context())) // finds nothing
		s.rest(0)
		return s.get(s.b)
	}},
	{name: "who cannot see the fence keeps what it loads", off: weaken.NoBlindLocal, play: func(s *scene) string {
		s.begin(s.b)
		s.rest(0)
		s.faults.set(fault.Fail(nil))
		s.get(s.a)
		s.faults.set(nil)
		s.source.Put(1, "new") // and the writer says nothing more
		return s.get(s.a)
	}},
}

// die makes a say nothing more.
func (s *scene) die() {
	s.faults.set(fault.Fail(nil))
	s.env.Hub.Pause()
}

// evict makes the remote tier forget key 1.
func (s *scene) evict() {
	s.Helper()
	b := at(s.T, s.env)
	if b == nil {
		s.Fatal("there is nothing")
	}
	step(s.T, s.env, record.Step{Verb: record.Remove, Expect: record.TokenOf(b)})
}

// Not parallel: the switches are the process's.
func TestEachMechanismOfWritesIsWhatPreventsAnOldValue(t *testing.T) {
	for _, r := range slices.Concat(doubtful, straddling, fenced) {
		run := func(t *testing.T) (got string) {
			play(t, options{MaxStaleness: cmp.Or(r.bound, time.Minute)}, func(s *scene) { got = r.play(s) })
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
