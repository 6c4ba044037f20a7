package tier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// playThrough is play with write-through.
func playThrough(t *testing.T, o options, do func(s *scene)) {
	t.Helper()
	source := sourceOf(map[int]string{1: "old", 2: "old", 3: "old"})
	if o.Policy.Loader == nil {
		o.Policy = policy.WriteThrough(source)
	}
	play(t, o, func(s *scene) {
		s.source = source
		do(s)
	})
}

func TestWriteThroughWritesTheSourceWithinAFence(t *testing.T) {
	t.Parallel()
	table := &spied{Source: sourceOf(map[int]string{1: "old"})}
	playThrough(t, options{Policy: policy.WriteThrough(table), NegativeTTL: time.Minute}, func(s *scene) {
		s.get(s.a)
		s.get(s.b)
		writes := s.env.Remote.Writes()
		table.during = func() {
			if k := s.kind(); k != record.Fence {
				s.Errorf("the source is written over a %v", k)
			}
		}
		must(s, s.a.Set(s.Context(), 1, "new"))
		if got := table.Values()[1]; got != "new" {
			s.Errorf("the source has %q", got)
		}
		if n := s.env.Remote.Writes() - writes; n != 2 {
			s.Errorf("%d round trips to the remote tier", n)
		}
		s.rest(0)
		if n := s.b.Stats().Received; n != 2 {
			s.Errorf("%d announcements", n)
		}
		for c, from := range map[*cache]tier.Tier{s.a: tier.Local, s.b: tier.Remote} {
			if r, err := c.Lookup(s.Context(), 1); err != nil || r.Value != "new" || r.Tier != from {
				s.Errorf("%+v, %v, not from %v", r, err, from)
			}
		}
		must(s, s.a.Delete(s.Context(), 1, 1))
		if _, there := table.Values()[1]; there {
			s.Error("the source still has it")
		}
		s.rest(0)
		loads := table.Loads()
		for _, c := range []*cache{s.a, s.b} {
			_, err := c.Get(s.Context(), 1)
			wantErr(s, err, tier.ErrNotFound)
		}
		if n := table.Loads() - loads; n != 0 {
			s.Errorf("%d loads of what was deleted", n)
		}
		if st := s.a.Stats(); st.Stores != 2 || st.StoreErrors != 0 || st.Doubts != 0 {
			s.Errorf("%+v", st)
		}
	})
}

// spied is a source that tells when it is written.
type spied struct {
	*tiertest.Source[int, string]
	during func()
}

func (p *spied) Store(ctx context.Context, k int, v string) error {
	p.during()
	return p.Source.Store(ctx, k, v)
}

func (p *spied) Delete(ctx context.Context, k int) error {
	p.during()
	return p.Source.Delete(ctx, k)
}

func TestWithoutNegativeTTLWhatWasDeletedIsNotKept(t *testing.T) {
	t.Parallel()
	playThrough(t, options{}, func(s *scene) {
		s.get(s.b)
		must(s, s.a.Delete(s.Context(), 1))
		if k := s.kind(); k != 0 {
			s.Errorf("a %v is left", k)
		}
		s.rest(0)
		_, err := s.b.Get(s.Context(), 1)
		wantErr(s, err, tier.ErrNotFound)
	})
}

func TestSetManyThroughTakesAsManyRoundTripsAsOneSet(t *testing.T) {
	t.Parallel()
	playThrough(t, options{}, func(s *scene) {
		values := map[int]string{}
		for i := range 100 {
			values[i] = fmt.Sprint("new", i)
		}
		s.get(s.a) // makes the record of markers
		writes := s.env.Remote.Writes()
		must(s, s.a.SetMany(s.Context(), values))
		if n := s.env.Remote.Writes() - writes; n != 2 {
			s.Errorf("%d round trips", n)
		}
		for k, v := range s.source.Values() {
			want(s, s.b, k, v)
		}
		if n := len(s.source.Values()); n != 100 {
			s.Errorf("the source has %d", n)
		}
	})
}

func TestASourceThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("the connection was reset")
	playThrough(t, options{}, func(s *scene) {
		s.source.Refuse(fmt.Errorf("%w: a constraint", policy.ErrNotWritten))
		err := s.a.Set(s.Context(), 1, "new")
		wantErr(s, err, tier.ErrNotWritten)
		if e, ok := errors.AsType[*tier.Error](err); !ok || e.Tier != "source" || e.Key != "c/1/{1}" || e.Op != "set" {
			s.Errorf("%#v", err)
		}
		if k := s.kind(); k != 0 {
			s.Errorf("nothing was written, and there is a %v", k)
		}
		s.settled("old")
		if st := s.a.Stats(); st.Doubts != 0 || st.StoreErrors != 1 {
			s.Errorf("%+v", st)
		}
	})
	playThrough(t, options{}, func(s *scene) {
		s.get(s.b)
		s.source.Refuse(broken) // and the value is written all the same
		err := s.a.Set(s.Context(), 1, "new")
		wantErr(s, err, broken)
		if e, ok := errors.AsType[*tier.Error](err); !ok || e.Tier != "source" {
			s.Errorf("%#v", err)
		}
		s.rest(0) // the other node hears of it
		s.settled("new")
		s.rest(4 * time.Second)
		if k := s.kind(); k != record.Fence {
			s.Errorf("the outcome is unknown, and there is a %v", k)
		}
		s.rest(10 * time.Second)
		if k := s.kind(); k == record.Fence {
			s.Error("the fence stays for ever")
		}
		s.settled("new")
	})
	// Of several keys each is judged by itself.
	table := &fussy{Source: sourceOf(nil)}
	playThrough(t, options{Policy: policy.WriteThrough(table)}, func(s *scene) {
		err := s.a.SetMany(s.Context(), map[int]string{1: "one", 2: "two", 3: "three", 4: "four"})
		wantErr(s, err, policy.ErrNotWritten)
		if p, ok := errors.AsType[*tier.PanicError](err); !ok || p.Value != errFussy {
			s.Errorf("%v", err)
		}
		for _, k := range []int{1, 4} {
			if r, err := s.a.Lookup(s.Context(), k); err != nil || r.Tier != tier.Local {
				s.Errorf("%d: %+v, %v", k, r, err)
			}
		}
		if n := strings.Count(err.Error(), "source"); n != 2 || s.a.Stats().Repairs != 1 {
			s.Errorf("%d errors, %+v", n, s.a.Stats())
		}
		s.rest(10 * time.Second)
	})
}

var errFussy = errors.New("fussy")

// fussy is a source that refuses 2 and panics at 3.
type fussy struct {
	*tiertest.Source[int, string]
}

func (p *fussy) Store(ctx context.Context, k int, v string) error {
	switch k {
	case 2:
		return policy.ErrNotWritten
	case 3:
		panic(errFussy)
	}
	return p.Source.Store(ctx, k, v)
}

func TestUnreachableThrough(t *testing.T) {
	t.Parallel()
	playThrough(t, options{}, func(s *scene) {
		s.get(s.b)
		s.faults.set(fault.Fail(nil).If(fault.On(fault.Writes)))
		wantErr(s, s.a.Set(s.Context(), 1, "new"), tier.ErrInvalidationPending)
		if v := s.source.Values()[1]; v != "new" {
			s.Errorf("the source has %q", v)
		}
		s.faults.set(nil)
		s.rest(time.Minute)
		s.settled("new")
	})
	playThrough(t, options{WhenUnreachable: tier.Refuse}, func(s *scene) {
		s.faults.set(fault.Fail(nil).If(fault.On(fault.Writes)))
		err := s.a.Set(s.Context(), 1, "new")
		wantErr(s, err, tier.ErrUnavailable)
		wantErr(s, err, tier.ErrNotWritten)
		if v := s.source.Values()[1]; v != "old" {
			s.Errorf("the source has %q", v)
		}
	})
}

func TestAValueTooLargeForTheCacheIsWrittenThrough(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 2<<10)
	playThrough(t, options{MaxBody: 1 << 10}, func(s *scene) {
		s.get(s.b)
		must(s, s.a.Set(s.Context(), 1, large))
		s.rest(0)
		s.settled(large)
	})
}

func TestWritersOfOneKeyInAProcessTakeTurnsThrough(t *testing.T) {
	t.Parallel()
	var inside, most atomic.Int64
	table := &spied{Source: sourceOf(nil)}
	table.during = func() {
		most.Store(max(most.Load(), inside.Add(1)))
		time.Sleep(10 * time.Millisecond) // of the bubble
		inside.Add(-1)
	}
	playThrough(t, options{Policy: policy.WriteThrough(table)}, func(s *scene) {
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() { must(s, s.a.Set(s.Context(), 1, fmt.Sprint(i))) })
		}
		group.Wait()
		if n := most.Load(); n != 1 {
			s.Errorf("%d at a time", n)
		}
		r, err := s.a.Lookup(s.Context(), 1)
		if v := table.Values()[1]; err != nil || r.Value != v || r.Tier != tier.Local {
			s.Errorf("the source has %q, the cache %+v, %v", v, r, err)
		}
	})
}

func TestASlowSourceKeepsItsFence(t *testing.T) {
	t.Parallel()
	table := &spied{Source: sourceOf(map[int]string{1: "old"})}
	playThrough(t, options{Policy: policy.WriteThrough(table)}, func(s *scene) {
		table.during = func() {
			for range 20 {
				s.rest(time.Second)
				if k := s.kind(); k != record.Fence {
					s.Fatalf("there is a %v", k)
				}
			}
		}
		must(s, s.a.Set(s.Context(), 1, "new"))
		s.rest(0)
		if r, _ := s.b.Lookup(s.Context(), 1); r.Value != "new" || r.Tier != tier.Remote {
			s.Errorf("%+v", r)
		}
	})
}

func TestALocalCacheWritesThrough(t *testing.T) {
	t.Parallel()
	s := sourceOf(nil)
	c := open(t, &options{Policy: policy.WriteThrough(s)})
	must(t, c.Set(t.Context(), 1, "one"))
	if r, err := c.Lookup(t.Context(), 1); err != nil || r.Tier != tier.Local || s.Values()[1] != "one" {
		t.Errorf("%+v, %v", r, err)
	}
	must(t, c.Delete(t.Context(), 1))
	_, err := c.Get(t.Context(), 1)
	wantErr(t, err, tier.ErrNotFound)
	if _, err := tier.New("c", &options{Policy: policy.Policy[int, string]{Mode: policy.Through, Loader: s}}); err == nil {
		t.Error("write-through without a store was accepted")
	}
}
