package tier_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// faults is an injector that a test changes while operations run.
type faults struct {
	now atomic.Pointer[fault.Injector]
}

func (f *faults) Inject(op fault.Op) fault.Fault {
	if i := f.now.Load(); i != nil {
		return (*i).Inject(op)
	}
	return fault.Fault{}
}

func (f *faults) String() string { return "what the test says" }

// set makes i befall the node, nil for nothing.
func (f *faults) set(i fault.Injector) {
	if i == nil {
		f.now.Store(nil)
		return
	}
	f.now.Store(&i)
}

// A scene is two nodes of a cache c over one source in a synctest bubble, the first behind a connection that a test breaks.
type scene struct {
	*testing.T
	env    *tiertest.Env
	source *tiertest.Source[int, string]
	a, b   *cache
	faults *faults // between a and the remote tier
}

// play makes a scene. The source has "old" at 1, 2 and 3.
func play(t *testing.T, o options, do func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, env: tiertest.New(t), source: sourceOf(map[int]string{1: "old", 2: "old", 3: "old"}), faults: new(faults)}
		if o.Policy.Loader == nil {
			o.Policy = aside(s.source)
		}
		o.LocalCost = 1 << 20
		shaky := backend.New(fault.Wrap(s.env.Remote, s.faults))
		t.Cleanup(func() { shaky.Close() })
		o.Remote = shaky
		s.a = tiertest.Node(t, s.env, "c", &o)
		o.Remote = nil
		s.b = tiertest.Node(t, s.env, "c", &o)
		s.rest(5 * time.Second) // until the nodes are trusted
		do(s)
	})
}

// get reads key 1.
func (s *scene) get(c *cache) string {
	s.Helper()
	v, err := c.Get(s.Context(), 1)
	if err != nil {
		s.Error(err)
	}
	return v
}

// rest lets the bubble's clock go on.
func (s *scene) rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAKeyInDoubtIsReadFromTheSourceUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault.Fault{
		"the step got lost":       fault.Drop(nil),
		"its answer got lost":     fault.Lose(nil),
		"it was never sent":       fault.Fail(nil),
		"it will happen too late": fault.Late(nil, 20*time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, options{NegativeTTL: time.Minute}, func(s *scene) {
				s.get(s.a)
				s.faults.set(f.If(fault.On(fault.Writes)))
				s.source.Put(1, "new")
				err := s.a.Invalidate(s.Context(), 1)
				wantErr(s, err, tier.ErrInvalidationPending)
				wantErr(s, err, tier.ErrUnavailable)
				reads := s.env.Remote.Reads()
				for range 3 {
					if v := s.get(s.a); v != "new" {
						s.Fatalf("in doubt it served %q", v)
					}
					for _, e := range s.a.GetMany(s.Context(), []int{1, 1}) {
						if e.Value != "new" || e.Tier != tier.Source {
							s.Fatalf("GetMany in doubt: %+v", e)
						}
					}
				}
				if n := s.env.Remote.Reads() - reads; n != 0 {
					s.Errorf("%d reads of the remote tier for a key in doubt", n)
				}
				if _, ok, err := s.a.Peek(s.Context(), 1); ok || !errors.Is(err, tier.ErrUnavailable) {
					s.Errorf("Peek in doubt: %t, %v", ok, err)
				}
				want(s, s.a, 2, "old")
				if st := s.a.Stats(); st.Repairs != 1 || st.Doubts != 1 || st.Doubted != 7 || st.Repaired != 0 {
					s.Errorf("in doubt: %+v", st)
				}
				s.faults.set(nil)
				s.rest(2 * time.Second)
				if st := s.a.Stats(); st.Repairs != 0 || st.Repaired != 1 {
					s.Errorf("repaired: %+v", st)
				}
				if v := s.get(s.b); v != "new" {
					s.Errorf("the other node has %q", v)
				}
				if r, _ := s.a.Lookup(s.Context(), 1); r.Value != "new" || r.Tier != tier.Remote {
					s.Errorf("after the repair: %+v", r)
				}
				s.rest(30 * time.Second)
			})
		})
	}
}

func TestEveryWriteThatGotNoAnswerIsRepaired(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(ctx context.Context, c *cache) error{
		"set":        func(ctx context.Context, c *cache) error { return c.Set(ctx, 1, "new") },
		"set many":   func(ctx context.Context, c *cache) error { return c.SetMany(ctx, map[int]string{1: "new", 2: "new"}) },
		"invalidate": func(ctx context.Context, c *cache) error { return c.Invalidate(ctx, 1) },
		"delete":     func(ctx context.Context, c *cache) error { return c.Delete(ctx, 1) },
		"expire":     func(ctx context.Context, c *cache) error { return c.Expire(ctx, 1) },
		"clear":      func(ctx context.Context, c *cache) error { return c.Clear(ctx) },
	} {
		for what, outage := range map[string]func(s *scene) (end func()){
			"remote": func(s *scene) func() {
				s.faults.set(fault.Drop(nil).If(fault.On(fault.Writes | fault.Scan)))
				return func() { s.faults.set(nil) }
			},
			"bus": func(s *scene) func() {
				s.env.Hub.Stop()
				return s.env.Hub.Start
			},
		} {
			t.Run(name+", "+what+" away", func(t *testing.T) {
				t.Parallel()
				play(t, options{MaxStaleness: time.Hour}, func(s *scene) {
					s.get(s.a)
					s.get(s.b)
					end := outage(s)
					s.source.Put(1, "new")
					wantErr(s, write(s.Context(), s.a), tier.ErrInvalidationPending)
					if v := s.get(s.a); v != "new" && name != "expire" {
						s.Errorf("the writer reads %q", v)
					}
					s.rest(time.Minute)
					if n := s.a.Stats().Repairs; n == 0 {
						s.Error("nothing to be repaired in an outage")
					}
					end()
					s.rest(time.Minute)
					if n := s.a.Stats().Repairs; n != 0 {
						s.Errorf("%d repairs left", n)
					}
					s.get(s.b) // what was only expired is stale, and loaded behind
					s.rest(time.Second)
					for _, c := range []*cache{s.a, s.b} {
						if v := s.get(c); v != "new" {
							s.Errorf("after the repair a node reads %q", v)
						}
					}
				})
			})
		}
	}
}

func TestWhatWasNotAnnouncedIsNoDoubt(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		s.env.Hub.Stop()
		wantErr(s, s.a.Set(s.Context(), 1, "new"), tier.ErrInvalidationPending)
		s.rest(10 * time.Second) // nobody trusts the bus now
		if r, err := s.a.Lookup(s.Context(), 1); err != nil || r.Tier != tier.Remote || r.Value != "new" {
			s.Errorf("%+v, %v", r, err)
		}
		s.env.Hub.Start()
		s.rest(10 * time.Second)
	})
}

func TestARepairThatIsLateSettlesOnlyWhatWasInDoubtBefore(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		s.get(s.a)
		s.faults.set(fault.Drop(nil).If(fault.On(fault.Delete)))
		s.source.Put(1, "between")
		wantErr(s, s.a.Invalidate(s.Context(), 1), tier.ErrInvalidationPending)
		go_ := make(chan struct{})
		s.faults.set(fault.First(
			fault.Hold(go_).If(fault.And(fault.On(fault.Delete), fault.Nth(1))), // the repair's
			fault.Drop(nil).If(fault.On(fault.Delete)),
		))
		s.rest(time.Second)
		s.source.Put(1, "new")
		wantErr(s, s.a.Invalidate(s.Context(), 1), tier.ErrInvalidationPending)
		close(go_)
		s.rest(time.Second)
		if n := s.a.Stats().Repairs; n != 1 {
			s.Errorf("%d repairs are left: the second doubt was settled by a delete sent before it", n)
		}
		s.faults.set(nil)
		s.rest(2 * time.Second)
		if n := s.a.Stats().Repairs; n != 0 {
			s.Errorf("%d repairs are left", n)
		}
	})
}

func TestMoreThanCanBeRepairedKeyByKeyIsCleared(t *testing.T) {
	t.Parallel()
	var overflow atomic.Int64
	count := func(e tier.Event) {
		if e.Kind == tier.EventRepair {
			overflow.Add(1)
		}
	}
	play(t, options{OnEvent: count}, func(s *scene) {
		s.get(s.b)
		keys := make([]int, 1<<14+10)
		for i := range keys {
			keys[i] = 10 + i
		}
		s.faults.set(fault.Fail(nil).If(fault.On(fault.Writes | fault.Scan)))
		wantErr(s, s.a.Invalidate(s.Context(), keys...), tier.ErrInvalidationPending)
		if n := overflow.Load(); n != 1 {
			s.Errorf("%d events", n)
		}
		s.source.Put(1, "new")
		if v := s.get(s.a); v != "new" {
			s.Errorf("with everything in doubt %q", v)
		}
		s.faults.set(nil)
		s.rest(time.Minute)
		if st := s.a.Stats(); st.Repairs != 0 {
			s.Errorf("%d repairs left", st.Repairs)
		}
		if v := s.get(s.b); v != "new" {
			s.Errorf("nothing was cleared: %q", v)
		}
	})
}

func TestCloseRepairsOnceMoreAndSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		s.get(s.b)
		s.faults.set(fault.Drop(nil).If(fault.On(fault.Delete)))
		s.source.Put(1, "new")
		wantErr(s, s.a.Invalidate(s.Context(), 1), tier.ErrInvalidationPending)
		s.faults.set(nil) // the repair is in its pause
		must(s, s.a.Close())
		s.rest(0)
		if v := s.get(s.b); v != "new" {
			s.Errorf("not repaired: %q", v)
		}
	})
	play(t, options{}, func(s *scene) {
		s.faults.set(fault.Fail(nil).If(fault.On(fault.Writes)))
		wantErr(s, s.a.Invalidate(s.Context(), 2, 1), tier.ErrInvalidationPending)
		err := s.a.Close()
		left, ok := errors.AsType[*tier.UnrepairedError](err)
		if !ok || len(left.Keys) != 2 || left.Keys[0] != "c/1/{1}" || left.Rest || left.Cache != "c" {
			s.Errorf("%v: %+v", err, left)
		}
	})
}

// withReply is a driver that calls once between the first reply and its use.
type withReply struct {
	*tiertest.Remote
	once atomic.Pointer[func()]
}

func (w *withReply) Get(ctx context.Context, keys []string) []driver.Result {
	r := w.Remote.Get(ctx, keys)
	if f := w.once.Swap(nil); f != nil {
		(*f)()
	}
	return r
}
