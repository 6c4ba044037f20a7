package invalidation_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// wired is a transport on whose wire a stranger sits: it hears all that passes, and hands over what it likes.
type wired struct {
	invalidation.Transport
	inject chan invalidation.Delivery

	mu    *sync.Mutex // guards heard
	heard *[]invalidation.Delivery
}

func newWired(hub *membus.Hub) wired {
	return wired{hub.Transport(), make(chan invalidation.Delivery, 10_000), &sync.Mutex{}, &[]invalidation.Delivery{}}
}

func (w wired) Receive(ctx context.Context) (invalidation.Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forged := make(chan invalidation.Delivery, 1)
	var work sync.WaitGroup
	work.Go(func() {
		select {
		case d := <-w.inject:
			forged <- d
			cancel()
		case <-ctx.Done():
		}
	})
	d, err := w.Transport.Receive(ctx)
	cancel()
	work.Wait()
	select {
	case other := <-forged:
		if err == nil { // both: the real one comes after it
			w.inject <- d
		}
		return other, nil
	default:
	}
	if err == nil && d.Kind != invalidation.Subscribed {
		w.mu.Lock()
		defer w.mu.Unlock()
		*w.heard = append(*w.heard, d)
	}
	return d, err
}

func (w wired) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	return w.Transport.(invalidation.Replayer).Replay(ctx, after, through)
}

func (w wired) ReadRegister(ctx context.Context, name string) (invalidation.Registered, error) {
	return w.Transport.(invalidation.Registrar).ReadRegister(ctx, name)
}

func (w wired) WriteRegister(ctx context.Context, name string, r invalidation.RegisterWrite) (uint64, bool, error) {
	return w.Transport.(invalidation.Registrar).WriteRegister(ctx, name, r)
}

// recorded returns what passed so far.
func (w wired) recorded() []invalidation.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(*w.heard)
}

// startOn starts a node on a transport; see start.
func startOn(t *testing.T, tr invalidation.Transport, o *invalidation.Options) node {
	t.Helper()
	n := node{cache: &cache{}, bus: invalidation.New(tr, o)}
	t.Cleanup(func() {
		if err := n.bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	var err error
	if n.Attachment, err = n.bus.Attach("c", "v1", bound, n.cache); err != nil {
		t.Fatal(err)
	}
	return n
}

func keyed(t testing.TB) *invalidation.Options {
	return &invalidation.Options{Keys: newRing(t, newKey(t, "k", secretOf(1)))}
}

// forge returns frames in the forms in which a stranger may hand them over, at a node that is at a position.
func forge(frames [][]byte, at invalidation.Position) (forged []invalidation.Delivery) {
	other := invalidation.Incarnation{1, 2, 3}
	for _, f := range frames {
		for _, p := range []invalidation.Position{
			{}, {Incarnation: at.Incarnation}, {Incarnation: at.Incarnation, N: 1}, at, {Incarnation: at.Incarnation, N: at.N + 1},
			{Incarnation: at.Incarnation, N: at.N + 2}, {Incarnation: at.Incarnation, N: at.N + 1000}, {Incarnation: at.Incarnation, N: 1<<64 - 1},
			{Incarnation: other, N: 1}, {Incarnation: other, N: at.N + 1},
		} {
			forged = append(forged, invalidation.Delivery{Kind: invalidation.Frame, Position: p, Frame: f})
		}
		forged = append(forged, invalidation.Delivery{Kind: invalidation.Hint, Frame: f})
	}
	return forged
}

// everything is a node that sends every kind of frame, which a stranger records.
func everything(t *testing.T, hub *membus.Hub, o *invalidation.Options) (frames [][]byte, end func()) {
	t.Helper()
	w := newWired(hub)
	bus := invalidation.New(w, o)
	a, err := bus.Attach("c", "other options", bound, &cache{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(bound)
	node{Attachment: a}.announce(t, invalidate("recorded"), invalidation.Message{Verb: invalidation.VerbClear})
	bus.Wake("topic")
	r, err := invalidation.Register(bus, "pool")
	if err != nil {
		t.Fatal(err)
	}
	_, epoch, err := r.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := r.Swap(t.Context(), []byte("value"), epoch); !ok || err != nil {
		t.Fatal(ok, err)
	}
	synctest.Wait()
	for _, d := range w.recorded() {
		frames = append(frames, d.Frame)
	}
	return frames, func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	}
}

// effects is all that a stranger might bring about.
type effects struct {
	keys, flushes       int
	reconnects, replays uint64
	subscriptions       uint64
	mismatches          int
	woken, changed      bool
}

type watched struct {
	node
	wired
	woken, changed <-chan struct{}
}

func watch(t *testing.T, hub *membus.Hub, o *invalidation.Options) watched {
	t.Helper()
	w := watched{wired: newWired(hub)}
	w.node = startOn(t, w.wired, o)
	var stop func()
	w.woken, stop = w.bus.Woken("topic")
	t.Cleanup(stop)
	r, err := invalidation.Register(w.bus, "pool")
	if err != nil {
		t.Fatal(err)
	}
	w.changed, stop = r.Changed()
	t.Cleanup(stop)
	return w
}

func (w watched) effects() effects {
	s, st := w.seen(), w.bus.Stats()
	e := effects{keys: len(s.keys), flushes: len(s.flushes), mismatches: s.mismatches, reconnects: st.Reconnects, replays: st.Replays, subscriptions: st.Subscriptions}
	select {
	case <-w.woken:
		e.woken = true
	default:
	}
	select {
	case <-w.changed:
		e.changed = true
	default:
	}
	return e
}

func TestAStrangerOnTheChannelChangesNothing(t *testing.T) {
	elsewhere := membus.NewHub()
	for name, frames := range map[string]func(t *testing.T, hub *membus.Hub) [][]byte{
		"unsigned": func(t *testing.T, _ *membus.Hub) [][]byte {
			frames, end := everything(t, membus.NewHub(), nil)
			end()
			return frames
		},
		"under another key": func(t *testing.T, _ *membus.Hub) [][]byte {
			frames, end := everything(t, membus.NewHub(), &invalidation.Options{Keys: newRing(t, newKey(t, "k", secretOf(9)))})
			end()
			return frames
		},
		"of another bus with the same key": func(t *testing.T, _ *membus.Hub) [][]byte {
			frames, end := everything(t, elsewhere, keyed(t))
			end()
			return frames
		},
		"of a node that lives": func(t *testing.T, hub *membus.Hub) [][]byte {
			frames, end := everything(t, hub, keyed(t))
			t.Cleanup(end)
			return frames
		},
		"of a node that is gone": func(t *testing.T, hub *membus.Hub) [][]byte {
			frames, end := everything(t, hub, keyed(t))
			end()
			return frames
		},
		"changed in one bit": func(t *testing.T, hub *membus.Hub) (changed [][]byte) {
			frames, end := everything(t, hub, keyed(t))
			end()
			for _, f := range frames {
				for i := 0; i < 8*len(f); i += 11 {
					c := slices.Clone(f)
					c[i/8] ^= 1 << (i % 8)
					changed = append(changed, c)
				}
			}
			return changed
		},
		"cut short": func(t *testing.T, hub *membus.Hub) (changed [][]byte) {
			frames, end := everything(t, hub, keyed(t))
			end()
			for _, f := range frames {
				for i := range f {
					changed = append(changed, f[:i])
				}
			}
			return changed
		},
	} {
		for _, late := range []bool{false, true} { // whether the node listened when they were signed
			t.Run(fmt.Sprintf("%s, late=%t", name, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hub := membus.NewHub()
					var n watched
					var recorded [][]byte
					if late {
						recorded = frames(t, hub)
						n = watch(t, hub, keyed(t))
						time.Sleep(time.Minute) // until nothing of before can be under way
					} else {
						n = watch(t, hub, keyed(t))
						time.Sleep(bound)
						recorded = frames(t, hub)
						time.Sleep(bound)
					}
					synctest.Wait()
					for _, d := range n.recorded() {
						recorded = append(recorded, d.Frame) // own ones
					}
					n.effects() // takes signals
					before, dropped := n.effects(), n.bus.Stats().Dropped
					forged := forge(recorded, n.Position())
					for len(forged) > 0 {
						some := min(len(forged), 5000)
						for _, d := range forged[:some] {
							n.inject <- d
						}
						forged = forged[some:]
						synctest.Wait()
						if n.bus.Stats().Position.N > hub.Head().N {
							t.Fatalf("at %v, where the head is %v", n.bus.Stats().Position, hub.Head())
						}
					}
					began := time.Now()
					time.Sleep(bound)
					synctest.Wait()
					after := n.effects()
					if name == "of a node that lives" { // and disagrees
						after.mismatches = before.mismatches
					}
					if after != before {
						t.Errorf("had %+v, then %+v", before, after)
					}
					if n.bus.Stats().Dropped == dropped {
						t.Error("nothing was counted")
					}
					if !n.seen().trusted.After(began) {
						t.Error("is no longer trusted")
					}
					other := startOn(t, hub.Transport(), keyed(t))
					other.announce(t, invalidate("real"))
					synctest.Wait()
					if got := n.seen().keys; len(got) == 0 || got[len(got)-1] != "invalidate:real" || len(n.seen().flushes) != before.flushes {
						t.Errorf("then heard %v, flushes %v", got, n.seen().flushes)
					}
				})
			})
		}
	}
}

func TestWhatIsAppendedToTheLogOnceMoreIsPassedOver(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%t", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				var n watched
				if !late {
					n = watch(t, hub, keyed(t))
					time.Sleep(bound)
				}
				recorded, end := everything(t, hub, keyed(t))
				end()
				if late {
					n = watch(t, hub, keyed(t))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, d := range n.recorded() {
					recorded = append(recorded, d.Frame)
				}
				recorded = slices.DeleteFunc(recorded, func(f []byte) bool { return f[74] == 3 }) // a hint, which has no place there
				n.effects()
				before := n.effects()
				stranger := hub.Transport()
				defer stranger.Close()
				for _, f := range recorded {
					if _, err := stranger.Publish(t.Context(), [][]byte{f}); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				time.Sleep(bound)
				synctest.Wait()
				after := n.effects()
				if after.replays = before.replays; after != before { // they are read from the log, to see what they are
					t.Errorf("had %+v, then %+v", before, after)
				}
				if by := n.bus.Stats().DroppedBy; by[invalidation.DropReplayed]+by[invalidation.DropUnproven] < uint64(len(recorded)) || !n.seen().trusted.After(began) {
					t.Errorf("of %d dropped %v, trusted %v", len(recorded), by, n.seen().trusted.Sub(began))
				}
			})
		})
	}
}

func TestAFleetWithAKeyIsAsCoherentAsOneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		var nodes []node
		for range 3 {
			nodes = append(nodes, startOn(t, newWired(hub), keyed(t)))
		}
		want := []string{}
		hear := func(key string) {
			t.Helper()
			for i, n := range nodes {
				k := fmt.Sprint(key, i)
				n.announce(t, invalidate(k))
				want = append(want, "invalidate:"+k)
			}
			time.Sleep(bound)
			synctest.Wait()
			for i, n := range nodes {
				if got := n.seen().keys; !slices.Equal(got, want) {
					t.Fatalf("%s: node %d heard %v, want %v; %+v", key, i, got, want, n.bus.Stats())
				}
				if n.trustLeft() < bound/2 {
					t.Fatalf("%s: node %d is not trusted", key, i)
				}
			}
		}
		time.Sleep(bound)
		synctest.Wait()
		settled := nodes[0].bus.Stats()
		hear("a")
		time.Sleep(2 * time.Minute)
		if st := nodes[0].bus.Stats(); st.Dropped != settled.Dropped || st.Replays != settled.Replays {
			t.Errorf("in peace %+v became %+v", settled, st)
		}
		hub.Drop(2)
		hear("dropped")
		hub.Cut()
		hear("cut")
		for i, n := range nodes {
			if f := n.seen().flushes; len(f) > 1 {
				t.Errorf("node %d flushed: %v", i, f)
			}
		}
		hub.Reach(0)
		hub.Drop(1)
		_, _ = nodes[0].Announce(t.Context(), invalidate("gone"))
		time.Sleep(bound)
		hub.Reach(membus.DefaultReach)
		synctest.Wait()
		for _, n := range nodes {
			n.cache.mu.Lock()
			n.keys = slices.DeleteFunc(n.keys, func(k string) bool { return k == "invalidate:gone" })
			n.cache.mu.Unlock()
		}
		hear("after a flush")
		hub.Restart()
		time.Sleep(bound)
		hear("of another log")
		nodes = append(nodes, startOn(t, newWired(hub), keyed(t)))
		time.Sleep(bound)
		nodes[3].cache.mu.Lock()
		nodes[3].keys = slices.Clone(want)
		nodes[3].cache.mu.Unlock()
		hear("with a newcomer")
	})
}

// The log is lost beneath subscriptions that stay: frames that are signed for the old one say nothing of the new one.
func TestALostLogIsNoticedByTheServersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a, b := startOn(t, newWired(hub), keyed(t)), startOn(t, newWired(hub), keyed(t))
		time.Sleep(bound)
		hub.Lose()
		a.announce(t, invalidate("of another log"))
		lost := time.Now()
		time.Sleep(bound)
		synctest.Wait()
		for _, n := range []node{a, b} {
			if f := n.seen().flushes; !slices.Contains(f, invalidation.FlushIncarnation) || n.trustLeft() < bound/2 || !n.seen().trusted.After(lost) {
				t.Errorf("flushes %v, trusted for %v", f, n.trustLeft())
			}
		}
	})
}

// What a node announces just when another begins to listen is signed for a place before that.
func TestWhatIsUnderWayWhenANodeBeginsIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a := startOn(t, newWired(hub), keyed(t))
		time.Sleep(bound)
		synctest.Wait()
		filler := startOn(t, newWired(hub), keyed(t))
		filler.announce(t, invalidate("filler")) // of which a's next signature does not know yet
		b := startOn(t, newWired(hub), keyed(t))
		synctest.Wait()
		a.announce(t, invalidate("under way"))
		time.Sleep(bound)
		synctest.Wait()
		if !slices.Contains(b.seen().keys, "invalidate:under way") || len(b.seen().flushes) > 1 {
			t.Errorf("heard %v, flushes %v, %+v", b.seen().keys, b.seen().flushes, b.bus.Stats())
		}
	})
}

func TestKeysAreRotatedWithoutAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		old, next := newKey(t, "old", secretOf(1)), newKey(t, "next", secretOf(2))
		rings := []*invalidation.Keyring{newRing(t, old), newRing(t, old)}
		var nodes []node
		for _, r := range rings {
			nodes = append(nodes, startOn(t, newWired(hub), &invalidation.Options{Keys: r}))
		}
		time.Sleep(bound)
		for _, step := range [][]invalidation.Key{{old, next}, {next, old}, {next}} {
			for i, r := range rings {
				if err := r.Replace(step[0], step[1:]...); err != nil {
					t.Fatal(err)
				}
				nodes[i].announce(t, invalidate("x"))
				time.Sleep(bound)
			}
		}
		synctest.Wait()
		for _, n := range nodes {
			if s := n.seen(); len(s.keys) != 6 || len(s.flushes) > 1 || n.bus.Stats().DroppedBy[invalidation.DropUnauthenticated] > 0 {
				t.Errorf("heard %v, flushes %v, %+v", s.keys, s.flushes, n.bus.Stats())
			}
		}
	})
}

func TestAFleetIsGivenItsFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		var mu sync.Mutex
		events := map[invalidation.EventKind]invalidation.NodeID{}
		strict := keyed(t)
		strict.OnEvent = func(e invalidation.Event) {
			mu.Lock()
			defer mu.Unlock()
			events[e.Kind] = e.Node
		}
		lenient := keyed(t)
		lenient.AcceptUnsigned = true
		none, half, full := startOn(t, newWired(hub), nil), startOn(t, newWired(hub), lenient), startOn(t, newWired(hub), strict)
		time.Sleep(5 * bound)
		none.announce(t, invalidate("unsigned"))
		announced := time.Now()
		half.announce(t, invalidate("signed"))
		full.announce(t, invalidate("signed too"))
		time.Sleep(bound)
		synctest.Wait()
		for name, n := range map[string]node{"without a key": none, "that accepts unsigned frames": half} {
			// What is signed is announced again where its base was not told by the server: after a flush.
			if s := n.seen(); len(slices.Compact(s.keys)) != 3 || len(s.flushes) > 1 || n.trustLeft() < bound/2 {
				t.Errorf("the node %s heard %v, flushes %v", name, s.keys, s.flushes)
			}
		}
		// The node that wants signatures does not hear the one that has none, and knows it.
		s := full.seen()
		if slices.Contains(s.keys, "invalidate:unsigned") || full.bus.Stats().Flushes[invalidation.FlushGap] == 0 {
			t.Errorf("heard %v, flushes %v, trusted %v later", s.keys, s.flushes, s.trusted.Sub(announced))
		}
		mu.Lock()
		defer mu.Unlock()
		if node, ok := events[invalidation.EventUnauthenticated]; !ok || node != none.bus.Node() {
			t.Errorf("told of %v", slices.Collect(maps.Keys(events)))
		}
	})
}

func TestAKeyringThatNobodyMadeSignsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startOn(t, membus.NewHub().Transport(), &invalidation.Options{Keys: &invalidation.Keyring{}})
		if _, err := n.Announce(t.Context(), invalidate("k")); err == nil {
			t.Error("announced")
		}
	})
}

func TestAFloodOfJunkIsNoFloodOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		told, frames := 0, 0
		var mu sync.Mutex
		o := keyed(t)
		o.OnEvent = func(e invalidation.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == invalidation.EventDropped {
				told, frames = told+1, frames+e.Frames
			}
		}
		w := newWired(hub)
		startOn(t, w, o)
		time.Sleep(bound)
		for range 3 {
			for range 1000 {
				w.inject <- invalidation.Delivery{Kind: invalidation.Hint, Frame: []byte("junk")}
			}
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if told != 3 || frames != 2001 {
			t.Errorf("told %d times of %d frames", told, frames)
		}
	})
}
