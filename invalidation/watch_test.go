package invalidation_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// told is a watcher that notes everything.
type told struct {
	mu      sync.Mutex
	changes []invalidation.Change
	ended   bool
}

func watching(t *testing.T, bus *invalidation.Bus, caches ...string) *told {
	t.Helper()
	changes, err := bus.Watch(t.Context(), caches...)
	if err != nil {
		t.Fatal(err)
	}
	return note(changes)
}

// limited ends a loop that would go on.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // of the bubble
	t.Cleanup(cancel)
	return ctx
}

func note(changes iter.Seq[invalidation.Change]) *told {
	w := &told{}
	go func() { // ends with the sequence
		for change := range changes {
			w.mu.Lock()
			w.changes = append(w.changes, change)
			w.mu.Unlock()
		}
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
	}()
	return w
}

// all is what was told, and whether that is the end.
func (w *told) all() (changes []string, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, change := range w.changes {
		changes = append(changes, say(change))
	}
	return changes, w.ended
}

func say(c invalidation.Change) string {
	s := fmt.Sprintf("%s:%v:%s", c.Cache, c.Verb, strings.Join(c.Keys, ","))
	if c.Missed != "" {
		s += "missed " + c.Missed
	}
	if c.Own {
		s += " own"
	}
	return s
}

func (w *told) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got, _ := w.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestAWatcherIsToldAllThatIsAnnouncedForItsCachesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		other, err := a.bus.Attach("other", "", bound, &cache{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		here, there := watching(t, a.bus, "c"), watching(t, b.bus, "c", "nobody's")
		everything, others := watching(t, b.bus), watching(t, b.bus, "other")
		synctest.Wait()
		first := a.announce(t, invalidate("1", "2"), invalidation.Message{Verb: invalidation.VerbTag, Keys: []string{"red"}})
		if _, err := other.Announce(t.Context(), invalidate("x")); err != nil {
			t.Fatal(err)
		}
		b.announce(t, invalidation.Message{Verb: invalidation.VerbExpire, Keys: []string{"3"}})
		a.announce(t, invalidation.Message{Verb: invalidation.VerbClear})
		here.want(t, "c:invalidate:1,2 own", "c:tag:red own", "c:expire:3", "c:clear: own")
		there.want(t, "c:invalidate:1,2", "c:tag:red", "c:expire:3 own", "c:clear:")
		everything.want(t, "c:invalidate:1,2", "c:tag:red", "other:invalidate:x", "c:expire:3 own", "c:clear:")
		others.want(t, "other:invalidate:x")
		if c := there.changes[0]; c.Position != first || c.Node != a.bus.Node() {
			t.Errorf("told of %v by %v, announced at %v by %v", c.Position, c.Node, first, a.bus.Node())
		}
	})
}

// unhurried is a handler that takes a second of the bubble's for each call.
type unhurried struct{ *cache }

func (u unhurried) Apply(p invalidation.Position, own bool, m invalidation.Message) {
	time.Sleep(time.Second)
	u.cache.Apply(p, own, m)
}

func (u unhurried) Flush(reason string) {
	time.Sleep(time.Second)
	u.cache.Flush(reason)
}

func TestAChangeIsToldOnceTheHandlersHaveAppliedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a := start(t, hub, "", nil)
		synctest.Wait()
		bus := membus.Bus(hub, nil)
		defer bus.Close()
		h := unhurried{&cache{}}
		if _, err := bus.Attach("c", "", time.Hour, h); err != nil {
			t.Fatal(err)
		}
		if err := bus.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		changes, err := bus.Watch(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		at := a.announce(t, invalidate("1"))
		heard := 0
		for change := range changes {
			if heard++; heard == 1 {
				if seen := h.seen().keys; len(seen) != 1 || bus.Position().Before(at) || change.Position != at {
					t.Errorf("told of %v where %q is applied, at %v; it was announced at %v", change.Position, seen, bus.Position(), at)
				}
				hub.Restart()
				continue
			}
			if got := h.seen().flushes; len(got) == 0 || got[len(got)-1] != change.Missed || bus.Position().Before(change.Position) {
				t.Errorf("told %v, where %q is applied, at %v", say(change), got, bus.Position())
			}
			break
		}
		if heard != 2 {
			t.Errorf("told %d times", heard)
		}
	})
}

func TestWhatANodeCannotHaveIsMissed(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(hub *membus.Hub, announce func())
		want string
	}{
		"a gap":             {func(hub *membus.Hub, announce func()) { hub.Drop(1); announce(); announce() }, "gap"},
		"a cut":             {func(hub *membus.Hub, announce func()) { hub.Pause(); announce(); hub.Cut(); hub.Resume() }, "subscribed"},
		"another log":       {func(hub *membus.Hub, announce func()) { hub.Restart() }, "incarnation"},
		"another, grown on": {func(hub *membus.Hub, announce func()) { hub.Pause(); hub.Restart(); announce(); hub.Resume() }, "incarnation"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				a, b := start(t, hub, "", nil), start(t, hub, "", nil) // which cannot replay
				synctest.Wait()
				w := watching(t, b.bus, "c")
				a.announce(t, invalidate("before"))
				synctest.Wait()
				c.lose(hub, func() { a.announce(t, invalidate("lost")) })
				time.Sleep(2 * bound)
				at := a.announce(t, invalidate("after"))
				synctest.Wait()
				got, _ := w.all()
				got = slices.DeleteFunc(got, func(s string) bool { return s == "c:invalidate:lost" }) // the second of a gap
				if want := []string{"c:invalidate:before", ":clear:missed " + c.want, "c:invalidate:after"}; !slices.Equal(got, want) {
					t.Fatalf("told %q, want %q", got, want)
				}
				for i, change := range w.changes {
					if i > 0 && change.Missed == "" && !w.changes[i-1].Position.Before(change.Position) || at.Before(change.Position) {
						t.Errorf("%v is told after %v, the last at %v", change.Position, w.changes[i-1].Position, at)
					}
				}
			})
		})
	}
}

func TestWhatIsHadAgainIsNotMissed(t *testing.T) {
	for name, lose := range lossy {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				a, _ := startReplaying(t, hub, nil)
				b, _ := startReplaying(t, hub, nil)
				time.Sleep(bound)
				w := watching(t, b.bus, "c")
				synctest.Wait()
				lose(t, hub, func() {
					a.announce(t, invalidate("1"))
					a.announce(t, invalidate("2"))
				})
				a.announce(t, invalidate("3"))
				w.want(t, "c:invalidate:1", "c:invalidate:2", "c:invalidate:3")
			})
		})
	}
}

func TestWhoWatchesBeforeTheFirstSubscriptionIsToldOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		g := gated{hub.Transport(), make(chan struct{})}
		bus := invalidation.New(g, nil)
		defer bus.Close()
		w := watching(t, bus)
		w.want(t)
		close(g.gate)
		w.want(t, ":clear:missed subscribed")
	})
}

func TestAWatcherThatIsTooSlowIsToldThatItMissedSomethingAndHoldsNobodyUp(t *testing.T) {
	const room = 4096
	for name, c := range map[string]struct {
		announcements int
		key           string
		want          []int // which announcements are told; Missed is -1
	}{
		"as many as there is room for": {room, "k", seq(0, room)},
		"one more":                     {room + 1, "k", []int{-1, room}},
		"many more":                    {room + 100, "k", append([]int{-1}, seq(room, room+100)...)},
		"few of many bytes":            {69, strings.Repeat("k", 60<<10), []int{-1, 68}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				a, b := start(t, hub, "", nil), start(t, hub, "", nil)
				synctest.Wait()
				changes, err := b.bus.Watch(limited(t))
				if err != nil {
					t.Fatal(err)
				}
				positions := map[invalidation.Position]int{}
				for i := range c.announcements {
					positions[a.announce(t, invalidate(c.key))] = i
				}
				synctest.Wait()
				if n := len(b.seen().keys); n != c.announcements {
					t.Fatalf("the node has applied %d", n)
				}
				var got []int
				for change := range changes {
					i := positions[change.Position]
					if change.Missed != "" {
						if change.Missed != invalidation.MissedSlow || change.Verb != invalidation.VerbClear || i != c.want[1]-1 {
							t.Errorf("%s through %d", say(change), i)
						}
						i = -1
					}
					if got = append(got, i); i == c.announcements-1 {
						break
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("told %d, want %d", got, c.want)
				}
			})
		})
	}
}

func seq(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestAWatchEndsWithItsContextItsLoopAndTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		changes, err := n.bus.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		w := note(changes)
		n.announce(t, invalidate("1"))
		w.want(t, "c:invalidate:1 own")
		cancel()
		synctest.Wait()
		if _, ended := w.all(); !ended {
			t.Error("the loop goes on after its context has ended")
		}

		left := watching(t, n.bus)
		once, err := n.bus.Watch(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		n.announce(t, invalidate("2"), invalidate("3"))
		for change := range once {
			if say(change) != "c:invalidate:2 own" {
				t.Errorf("told %q", say(change))
			}
			break
		}
		for change := range once {
			t.Errorf("after the loop has ended told %q", say(change))
		}

		closing, err := n.bus.Watch(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		n.announce(t, invalidate("4"), invalidate("5"))
		told := 0
		for range closing {
			told++
			if err := n.bus.Close(); err != nil {
				t.Error(err)
			}
		}
		if told != 1 {
			t.Errorf("told %d changes", told)
		}
		synctest.Wait()
		if _, ended := left.all(); !ended {
			t.Error("the loop goes on after the bus has closed")
		}
		if _, err := n.bus.Watch(t.Context()); !errors.Is(err, invalidation.ErrClosed) {
			t.Errorf("watch after Close: %v", err)
		}
		if _, err := n.bus.Watch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("watch with a context that has ended: %v", err)
		}
		for _, name := range []string{"", strings.Repeat("x", invalidation.MaxName+1)} {
			if _, err := n.bus.Watch(t.Context(), "c", name); err == nil || errors.Is(err, invalidation.ErrClosed) {
				t.Errorf("watch %.10q: %v", name, err)
			}
		}
	})
}
