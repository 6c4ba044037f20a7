package tier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// add returns what appends to a value, "" if there is none.
func add(suffix string) func(string, bool) (string, error) {
	return func(old string, found bool) (string, error) {
		if !found {
			old = "none"
		}
		return old + suffix, nil
	}
}

func updated(t testing.TB, c *cache, k int, suffix, want string, options ...tier.Option) {
	t.Helper()
	if got, err := c.Update(t.Context(), k, add(suffix), options...); got != want || err != nil {
		t.Errorf("Update(%d) = %q, %v, want %q", k, got, err, want)
	}
}

// count makes each node count to n from 0 by several callers, and fails the test unless every count was returned once.
func count(t testing.TB, n int, nodes ...*tier.Cache[string, int]) {
	t.Helper()
	const callers = 4
	var all sync.WaitGroup
	seen := make([][]int, len(nodes)*callers)
	for i := range seen {
		all.Go(func() {
			for range n / callers {
				v, err := nodes[i/callers].Update(t.Context(), "n", func(old int, found bool) (int, error) {
					if found != (old > 0) {
						t.Errorf("%d was found: %t", old, found)
					}
					return old + 1, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				seen[i] = append(seen[i], v)
			}
		})
	}
	all.Wait()
	got := slices.Sorted(slices.Values(slices.Concat(seen...)))
	for i, v := range got {
		if v != i+1 {
			t.Fatalf("the %dth count is %d", i+1, v)
		}
	}
	if len(got) != n*len(nodes) {
		t.Errorf("%d counts", len(got))
	}
	for _, c := range nodes {
		if v, err := c.Get(t.Context(), "n", tier.Fresh()); v != n*len(nodes) || err != nil {
			t.Errorf("in the end %d, %v", v, err)
		}
	}
}

func TestNoUpdateOfTwoNodesIsLost(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	a := tiertest.Node(t, env, "c", &tier.Options[string, int]{})
	b := tiertest.Node(t, env, "c", &tier.Options[string, int]{})
	count(t, 1000, a, b)
}

func TestUpdateChangesWhatIsThere(t *testing.T) {
	t.Parallel()
	play(t, options{NegativeTTL: time.Minute}, func(s *scene) {
		s.get(s.a)
		s.get(s.b)
		reads, writes := s.env.Remote.Reads(), s.env.Remote.Writes()
		updated(s, s.a, 1, "+", "old+")
		if r, w := s.env.Remote.Reads()-reads, s.env.Remote.Writes()-writes; r != 1 || w != 1 {
			s.Errorf("%d reads and %d writes of the remote tier", r, w)
		}
		if r, err := s.a.Lookup(s.Context(), 1); err != nil || r.Value != "old+" || r.Tier != tier.Local {
			s.Errorf("%+v, %v", r, err)
		}
		s.rest(0)
		if got := s.get(s.b); got != "old+" {
			s.Errorf("the other node has %q", got)
		}
		updated(s, s.b, 1, "+", "old++")
		updated(s, s.a, 1, "+", "old+++")

		loads, writes := s.source.Loads(), s.env.Remote.Writes()
		updated(s, s.a, 2, "+", "old+") // of the source
		if l, w := s.source.Loads()-loads, s.env.Remote.Writes()-writes; l != 1 || w != 2 {
			s.Errorf("%d loads, %d writes of the remote tier", l, w)
		}
		updated(s, s.a, 9, "+", "none+")
		_, err := s.b.Get(s.Context(), 10)
		wantErr(s, err, tier.ErrNotFound)
		updated(s, s.a, 10, "+", "none+") // in place of the answer that there is none
		s.rest(0)
		want(s, s.b, 10, "none+")
	})
}

func TestAnUpdateThatGivesUpChangesNothing(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		enough := errors.New("enough")
		for _, k := range []int{1, 8} {
			v, err := s.a.Update(s.Context(), k, func(string, bool) (string, error) { return "never", enough })
			if v != "" || err != enough {
				s.Errorf("%q, %v", v, err)
			}
		}
		want(s, s.b, 1, "old")
		if k := s.kind(); k != record.Value {
			s.Errorf("a %v is left", k)
		}
		func() {
			defer func() {
				if recover() == nil {
					s.Error("no panic")
				}
			}()
			s.a.Update(s.Context(), 1, func(string, bool) (string, error) { panic("in the application") })
		}()
		updated(s, s.a, 1, "+", "old+") // nobody waits
		s.source.Fail(errors.New("down"))
		if _, err := s.a.Update(s.Context(), 3, add("+")); !isTier(err, "source") {
			s.Errorf("%v", err)
		}
		s.env.Remote.Down()
		_, err := s.a.Update(s.Context(), 1, add("+"))
		wantErr(s, err, tier.ErrUnavailable)
		if !isTier(err, "remote") {
			s.Errorf("%v", err)
		}
	})
}

func isTier(err error, name string) bool {
	e, ok := errors.AsType[*tier.Error](err)
	return ok && e.Tier == name && e.Op == "update"
}

func TestAnUpdateKeepsTagsAndTakesOptions(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		must(s, s.a.Set(s.Context(), 1, "v", tier.WithTags("x")))
		s.rest(5 * time.Minute)
		updated(s, s.b, 1, "+", "v+")
		s.rest(0)
		r, err := s.a.Lookup(s.Context(), 1)
		if err != nil || !slices.Equal(r.Tags, []string{"x"}) || r.TTL < 9*time.Minute {
			s.Errorf("%+v, %v", r, err)
		}
		updated(s, s.b, 1, "+", "v++", tier.WithTags("y"), tier.WithTTL(time.Minute))
		s.rest(0)
		r, err = s.a.Lookup(s.Context(), 1)
		if err != nil || !slices.Equal(r.Tags, []string{"y"}) || r.TTL > time.Minute {
			s.Errorf("%+v, %v", r, err)
		}
		must(s, s.a.InvalidateTag(s.Context(), "y"))
		updated(s, s.b, 1, "+", "old+") // what was invalidated is not what is changed
		for _, o := range []tier.Option{tier.SkipRemoteRead(), tier.SkipRemoteWrite(), tier.AllowStale(), tier.WithTTL(1)} {
			if _, err := s.a.Update(s.Context(), 1, add("-"), o); err == nil {
				s.Error("no error")
			}
		}
		want(s, s.a, 1, "old+")
	})
}

// Whatever happens at the key while a new value is made of the old one, that is made again of what is there then.
func TestAnUpdateIsOfWhatIsThereInTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key    int
		during func(s *scene)
		want   string
	}{
		"a Set":                  {1, func(s *scene) { must(s, s.b.Set(s.Context(), 1, "set")) }, "set+"},
		"another update":         {1, func(s *scene) { updated(s, s.b, 1, "-", "old-") }, "old-+"},
		"an invalidation":        {1, func(s *scene) { s.source.Put(1, "new"); must(s, s.b.Invalidate(s.Context(), 1)) }, "new+"},
		"one, and a load":        {1, func(s *scene) { s.source.Put(1, "new"); must(s, s.b.Invalidate(s.Context(), 1)); s.get(s.b) }, "new+"},
		"a Set where nothing is": {7, func(s *scene) { must(s, s.b.Set(s.Context(), 7, "set")) }, "set+"},
		"an open write": {1, func(s *scene) {
			w, err := s.b.BeginWrite(s.Context(), 1)
			must(s, err)
			s.source.Put(1, "new")
			go func() {
				s.rest(time.Second)
				must(s, w.Commit(s.Context()))
			}()
		}, "new+"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, options{}, func(s *scene) {
				s.get(s.a)
				times := 0
				got, err := s.a.Update(s.Context(), c.key, func(old string, found bool) (string, error) {
					if times++; times == 1 {
						c.during(s)
					}
					return add("+")(old, found)
				})
				if got != c.want || err != nil || times != 2 {
					s.Errorf("%q, %v, called %d times", got, err, times)
				}
				s.rest(0)
				for _, n := range []*cache{s.a, s.b} {
					want(s, n, c.key, c.want)
				}
			})
		})
	}
}

// Not parallel: the switches are the process's.
func TestWithoutTheComparisonAnUpdateIsLost(t *testing.T) {
	for _, off := range []bool{false, true} {
		play(t, options{}, func(s *scene) {
			if off {
				defer weaken.Switch(weaken.UpdateCompare)()
			}
			s.get(s.a)
			once := sync.OnceFunc(func() { updated(s, s.b, 1, "-", "old-") })
			got, err := s.a.Update(s.Context(), 1, func(old string, _ bool) (string, error) {
				once()
				return old + "+", nil
			})
			must(s, err)
			if lost := got != "old-+"; lost != off {
				s.Errorf("without it %t: %q", off, got)
			}
		})
	}
}

func TestAnUpdateThatAlwaysComesTooLateSaysSo(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		times := 0
		_, err := s.a.Update(s.Context(), 1, func(string, bool) (string, error) {
			times++
			return "never", s.b.Set(s.Context(), 1, fmt.Sprint(times))
		})
		wantErr(s, err, tier.ErrContended)
		if !isTier(err, "remote") || times < 10 || times > 101 {
			s.Errorf("%v after %d times", err, times)
		}
		want(s, s.a, 1, fmt.Sprint(times))
		ctx, cancel := context.WithTimeout(s.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = s.a.Update(ctx, 1, func(string, bool) (string, error) { return "never", s.b.Set(s.Context(), 1, "set") })
		wantErr(s, err, context.DeadlineExceeded)
		want(s, s.a, 1, "set")
	})
}

// A swap that gets no answer has happened, or can be kept from happening, or nobody knows.
func TestAnUpdateWithoutAnAnswerIsMadeOnce(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault.Fault{
		"it got lost":               fault.Drop(nil),
		"its answer got lost":       fault.Lose(nil),
		"it would happen too late":  fault.Late(nil, 20*time.Second),
		"it happens a moment later": fault.Late(nil, time.Millisecond),
	} {
		for key, first := range map[int]string{1: "old+", 9: "none+"} {
			t.Run(fmt.Sprint(name, key), func(t *testing.T) {
				t.Parallel()
				play(t, options{}, func(s *scene) {
					s.get(s.b)
					times := 0
					got, err := s.a.Update(s.Context(), key, func(old string, found bool) (string, error) {
						if times++; times == 1 {
							s.faults.set(f.If(fault.And(fault.On(fault.Swap), fault.Nth(1))))
						}
						return add("+")(old, found)
					})
					if err == nil && got != first {
						s.Errorf("%q after %d times", got, times)
					}
					if key == 1 && err != nil {
						s.Error(err)
					}
					if err != nil && !errors.Is(err, tier.ErrInvalidationPending) {
						s.Error(err)
					}
					s.rest(time.Minute)
					for _, n := range []*cache{s.a, s.b} {
						v, e := n.Get(s.Context(), key)
						if err == nil && (v != first || e != nil) {
							s.Errorf("in the end %q, %v", v, e)
						}
						if err != nil && v != first && !errors.Is(e, tier.ErrNotFound) {
							s.Errorf("in the end %q, %v", v, e)
						}
					}
				})
			})
		}
	}
}

// If it never becomes known, the key is emptied, as after a Set.
func TestAnUpdateOfWhichNobodyKnowsIsRepaired(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(s *scene) {
		s.get(s.b)
		_, err := s.a.Update(s.Context(), 1, func(old string, _ bool) (string, error) {
			s.faults.set(fault.Late(nil, 5*time.Second)) // all of it from now on
			return old + "+", nil
		})
		wantErr(s, err, tier.ErrInvalidationPending)
		s.faults.set(nil)
		s.rest(time.Minute)
		for _, n := range []*cache{s.a, s.b} {
			want(s, n, 1, "old")
		}
	})
}

func TestWhatUpdateCannotDo(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	for name, o := range map[string]*options{
		"no remote tier": {Policy: aside(sourceOf(nil))},
		"no Swapper":     {Policy: policy.WriteThrough(sourceOf(nil)), Remote: env.Store},
	} {
		c := open(t, o)
		_, err := c.Update(t.Context(), 1, add("+"))
		if !errors.Is(err, tier.ErrUnsupported) || !isTier(err, "source") && !isTier(err, "remote") {
			t.Errorf("%s: %v", name, err)
		}
		must(t, c.Close())
		if _, err := c.Update(t.Context(), 1, add("+")); !errors.Is(err, tier.ErrClosed) {
			t.Errorf("%s, closed: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := open(t, &options{Remote: tiertest.New(t).Store})
		go c.Update(t.Context(), 1, func(string, bool) (string, error) {
			time.Sleep(time.Second)
			return "v", nil
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Update(ctx, 1, add("+"))
		wantErr(t, err, context.Canceled)
		time.Sleep(time.Second) // of the bubble
		synctest.Wait()
		updated(t, c, 1, "+", "v+")
	})
}
