package tier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// kind returns of what kind the record at key 1 is, 0 for nothing.
func (s *scene) kind() record.Kind {
	s.Helper()
	h, _, _ := record.Parse(at(s.T, s.env))
	return h.Kind
}

// begin begins a write of key 1, and lets the others hear of it.
func (s *scene) begin(c *cache) *tier.Write[int, string] {
	s.Helper()
	w, err := c.BeginWrite(s.Context(), 1)
	must(s, err)
	s.rest(0)
	return w
}

// settled checks that both nodes read v.
func (s *scene) settled(v string) {
	s.Helper()
	for name, c := range map[string]*cache{"a": s.a, "b": s.b} {
		if got := s.get(c); got != v {
			s.Errorf("node %s has %q, not %q", name, got, v)
		}
	}
}

func TestAWriteBetweenBeginAndCommit(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		s.get(s.a)
		s.get(s.b)
		w := s.begin(s.a)
		if k := s.kind(); k != record.Fence {
			s.Fatalf("before the source is written there is a %v", k)
		}
		s.rest(0)
		if st := s.b.Stats(); st.Received != 1 {
			s.Errorf("the other node heard of %d keys before the source is written", st.Received)
		}
		s.source.Put(1, "new")
		s.settled("new")
		must(s, w.Set(1, "new"))
		if err := w.Set(2, "new"); err == nil {
			s.Error("Set of another key was accepted")
		}
		reads := s.env.Remote.Reads()
		must(s, w.Commit(s.Context()))
		if r, _ := s.a.Lookup(s.Context(), 1); r.Tier != tier.Local || r.Value != "new" {
			s.Errorf("the writer has %+v", r)
		}
		if n := s.env.Remote.Reads() - reads; n != 0 {
			s.Errorf("%d reads", n)
		}
		s.rest(0)
		if r, _ := s.b.Lookup(s.Context(), 1); r.Tier != tier.Remote || r.Value != "new" {
			s.Errorf("the other node has %+v", r)
		}
		if err := w.Commit(s.Context()); err == nil {
			s.Error("a second Commit was accepted")
		}
		w.Abort(s.Context(), nil) // nothing
		s.rest(2 * time.Minute)
		if st := s.a.Stats(); st.Repairs+int(st.Doubts) != 0 {
			s.Errorf("%+v", st)
		}
	})
}

func TestAWriteWhoseValueIsNotStatedLeavesNothing(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		w := s.begin(s.a)
		s.source.Put(1, "new")
		must(s, w.Commit(s.Context()))
		if k := s.kind(); k != 0 {
			s.Errorf("a %v is left", k)
		}
		s.settled("new")
	})
}

func TestAnAbortByItsCause(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		w := s.begin(s.a)
		w.Abort(s.Context(), errors.Join(errors.New("no such product"), policy.ErrNotWritten))
		if k := s.kind(); k != 0 {
			s.Errorf("not written, and a %v is left", k)
		}
		if err := w.Commit(s.Context()); err == nil {
			s.Error("Commit after Abort was accepted")
		}
		s.settled("old")
		if r, _ := s.a.Lookup(s.Context(), 1); r.Tier != tier.Local {
			s.Errorf("%+v", r)
		}
	})
	play(t, options{SourceSettle: 20 * time.Second}, func(s *scene) {
		w := s.begin(s.a)
		w.Abort(s.Context(), nil)
		s.settled("old")
		s.rest(19 * time.Second)
		if k := s.kind(); k != record.Fence {
			s.Fatalf("unknown, and after 19 s there is a %v", k)
		}
		s.source.Put(1, "new") // it commits after all
		s.settled("new")
		s.rest(2 * time.Second)
		if st := s.a.Stats(); s.kind() != 0 || st.Repairs != 0 || st.Repaired != 1 {
			s.Errorf("after SourceSettle there is a %v: %+v", s.kind(), st)
		}
		s.settled("new")
		if r, _ := s.b.Lookup(s.Context(), 1); r.Tier != tier.Local {
			s.Errorf("nothing is kept: %+v", r)
		}
	})
}

func TestAForgottenWriteEnds(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		w := s.begin(s.a)
		s.rest(59 * time.Second)
		if k := s.kind(); k != record.Fence {
			s.Fatalf("after 59 s there is a %v", k)
		}
		s.rest(10 * time.Second)
		if k := s.kind(); k != 0 {
			s.Fatalf("after 69 s there is a %v", k)
		}
		s.settled("old")
		s.source.Put(1, "new")
		must(s, w.Set(1, "new"))
		must(s, w.Commit(s.Context())) // late
		s.rest(0)
		s.settled("new")
	})
}

func TestCloseEndsOpenWrites(t *testing.T) {
	t.Parallel()
	play(t, options{SourceSettle: 20 * time.Second}, func(s *scene) {
		w := s.begin(s.a)
		must(s, s.a.Close())
		wantErr(s, w.Commit(s.Context()), tier.ErrClosed)
		w.Abort(s.Context(), nil)
		s.rest(19 * time.Second)
		if k := s.kind(); k != record.Fence {
			s.Fatalf("within SourceSettle there is a %v", k)
		}
		s.source.Put(1, "new")
		s.rest(10 * time.Second)
		if v := s.get(s.b); v != "new" {
			s.Errorf("the other node has %q", v)
		}
	})
}

func TestTwoWritesAtOnceLeaveTheKeyEmpty(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(*scene) *cache{
		"on one node":  func(s *scene) *cache { return s.a },
		"on two nodes": func(s *scene) *cache { return s.b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, options{}, func(s *scene) {
				first, second := s.begin(s.a), s.begin(other(s))
				s.source.Put(1, "first")
				must(s, first.Set(1, "first"))
				must(s, first.Commit(s.Context()))
				if k := s.kind(); k != record.Fence {
					s.Fatalf("one write is open, and there is a %v", k)
				}
				s.settled("first")
				s.source.Put(1, "second")
				s.settled("second")
				must(s, second.Set(1, "second"))
				must(s, second.Commit(s.Context()))
				if k := s.kind(); k != 0 {
					s.Errorf("a %v is left", k)
				}
				s.rest(0)
				s.settled("second")
			})
		})
	}
}

func TestAWriteOfNoAndOfEqualKeys(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		w, err := s.a.BeginWrite(s.Context())
		must(s, err)
		must(s, w.Commit(s.Context()))
		w.Abort(s.Context(), nil)
		w, err = s.a.BeginWrite(s.Context(), 1, 2, 1)
		must(s, err)
		s.source.Put(1, "new")
		must(s, w.Set(1, "new"))
		must(s, w.Commit(s.Context()))
		s.rest(0)
		if r, _ := s.b.Lookup(s.Context(), 1); r.Value != "new" || r.Tier != tier.Remote {
			s.Errorf("%+v", r)
		}
	})
}

func TestAValueThatCannotBeStoredIsLeftOut(t *testing.T) {
	t.Parallel()
	play(t, options{MaxBody: 1 << 10}, func(s *scene) {
		w := s.begin(s.a)
		wantErr(s, w.Set(1, strings.Repeat("x", 2<<10)), tier.ErrTooLarge)
		s.source.Put(1, "new")
		must(s, w.Commit(s.Context()))
		if k := s.kind(); k != 0 {
			s.Errorf("a %v is left", k)
		}
	})
}

func TestWhatCannotBeToldBeforeTheSourceIsWritten(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(s *scene) (end func()){
		"the remote tier is away": func(s *scene) func() {
			s.faults.set(fault.Fail(nil).If(fault.On(fault.Writes)))
			return func() { s.faults.set(nil) }
		},
		"the fence got no answer": func(s *scene) func() {
			s.faults.set(fault.Lose(nil).If(fault.On(fault.Writes)))
			return func() { s.faults.set(nil) }
		},
		"the bus is away": func(s *scene) func() {
			s.env.Hub.Stop()
			return s.env.Hub.Start
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, options{MaxStaleness: time.Hour}, func(s *scene) {
				s.get(s.a)
				s.get(s.b)
				end := outage(s)
				w := s.begin(s.a)
				s.source.Put(1, "new")
				must(s, w.Set(1, "new"))
				err := w.Commit(s.Context())
				wantErr(s, err, tier.ErrInvalidationPending)
				wantErr(s, err, tier.ErrUnavailable)
				if v := s.get(s.a); v != "new" {
					s.Errorf("the writer reads %q", v)
				}
				s.rest(time.Minute)
				end()
				s.rest(time.Minute)
				s.settled("new")
				if n := s.a.Stats().Repairs; n != 0 {
					s.Errorf("%d repairs left", n)
				}
			})
			play(t, options{MaxStaleness: time.Hour, WhenUnreachable: tier.Refuse}, func(s *scene) {
				s.get(s.b)
				end := outage(s)
				w, err := s.a.BeginWrite(s.Context(), 1)
				if w != nil {
					s.Error("refused, and begun")
				}
				wantErr(s, err, tier.ErrUnavailable)
				wantErr(s, err, tier.ErrNotWritten)
				s.rest(6 * time.Second)
				end()
				if k := s.kind(); k == record.Fence {
					s.Error("the fence is left")
				}
				s.settled("old")
				if st := s.a.Stats(); st.Repairs+int(st.Doubts) != 0 {
					s.Errorf("nothing was written, and %+v", st)
				}
			})
		})
	}
}

func TestABeginWriteThatWasCancelledBeginsNothing(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.a.BeginWrite(ctx, 1)
		wantErr(s, err, context.Canceled)
		s.rest(time.Second)
		if k := s.kind(); k == record.Fence {
			s.Error("the fence is left")
		}
		w := s.begin(s.a)
		s.source.Put(1, "new")
		must(s, w.Set(1, "new"))
		must(s, w.Commit(ctx)) // the source has it: this does not give up
		s.settled("new")
	})
}

func TestWhatWasWrittenBeforeATagWasInvalidatedIsDead(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		w := s.begin(s.a)
		s.source.Put(1, "new")
		must(s, s.b.Clear(s.Context()))
		must(s, w.Set(1, "new"))
		must(s, w.Commit(s.Context()))
		s.rest(0)
		s.source.Put(1, "newer")
		must(s, s.b.Clear(s.Context()))
		s.rest(0)
		s.settled("newer")
	})
}
