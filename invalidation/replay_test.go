package invalidation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// replaying is a transport that gives frames again as a test wants it to.
type replaying struct {
	gated
	replay func(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error)
}

func (r replaying) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	return r.replay(ctx, after, through)
}

// startReplaying is start with a transport that gives again what the hub has; in place of that, what instead says if it is not nil.
func startReplaying(t *testing.T, hub *membus.Hub, instead func(ctx context.Context, real func() ([][]byte, error)) ([][]byte, error)) (n node, events func(invalidation.EventKind) []invalidation.Event) {
	t.Helper()
	g := gated{hub.Transport(), make(chan struct{})}
	defer close(g.gate)
	tr := replaying{g, func(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
		real := func() ([][]byte, error) { return g.Transport.(invalidation.Replayer).Replay(ctx, after, through) }
		if instead != nil {
			return instead(ctx, real)
		}
		return real()
	}}
	var heard atomic.Pointer[[]invalidation.Event]
	heard.Store(&[]invalidation.Event{})
	n = node{cache: &cache{}}
	n.bus = invalidation.New(tr, &invalidation.Options{OnEvent: func(e invalidation.Event) {
		for {
			old := heard.Load()
			next := append(slices.Clone(*old), e)
			if heard.CompareAndSwap(old, &next) {
				return
			}
		}
	}})
	t.Cleanup(func() {
		if err := n.bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	var err error
	if n.Attachment, err = n.bus.Attach("c", "", bound, n.cache); err != nil {
		t.Fatal(err)
	}
	return n, func(kind invalidation.EventKind) (of []invalidation.Event) {
		for _, e := range *heard.Load() {
			if e.Kind == kind {
				of = append(of, e)
			}
		}
		return of
	}
}

// lossy are the ways in which a node misses two announcements.
var lossy = map[string]func(t *testing.T, hub *membus.Hub, announce func()){
	"lost": func(_ *testing.T, hub *membus.Hub, announce func()) {
		hub.Drop(2)
		announce()
	},
	"cut": func(_ *testing.T, hub *membus.Hub, announce func()) {
		hub.Pause()
		announce()
		hub.Cut()
		hub.Resume()
	},
}

func TestWhatWasMissedIsGivenAgainWithoutAFlush(t *testing.T) {
	for name, lose := range lossy {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				a, _ := startReplaying(t, hub, nil)
				b, events := startReplaying(t, hub, nil)
				time.Sleep(bound)
				synctest.Wait()
				var at invalidation.Position
				lose(t, hub, func() {
					a.announce(t, invalidate("1"))
					at = a.announce(t, invalidate("2"))
				})
				missed := time.Now()
				a.announce(t, invalidate("3"))
				synctest.Wait()
				if want := []string{"invalidate:1", "invalidate:2", "invalidate:3"}; !slices.Equal(b.seen().keys, want) || b.Position().Before(at) {
					t.Errorf("heard %v at %v, want %v at %v", b.seen().keys, b.Position(), want, at)
				}
				time.Sleep(bound)
				synctest.Wait()
				if got := b.seen().flushes; len(got) != 1 || !b.seen().trusted.After(missed) {
					t.Errorf("flushes %v, trusted by a heartbeat sent %v after the loss", got, b.seen().trusted.Sub(missed))
				}
				st, replays := b.bus.Stats(), events(invalidation.EventReplay)
				if st.Replays != 1 || st.Replayed < 2 || len(replays) != 1 || uint64(replays[0].Frames) != st.Replayed {
					t.Errorf("%d replays of %d frames, events %v", st.Replays, st.Replayed, replays)
				}
			})
		})
	}
}

func TestACutInWhichNothingWasAnnouncedCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil) // cannot even replay
		time.Sleep(bound)
		synctest.Wait()
		hub.Cut()
		synctest.Wait()
		if st := n.bus.Stats(); len(n.seen().flushes) != 1 || st.Subscriptions != 2 {
			t.Errorf("flushes %v in %d subscriptions", n.seen().flushes, st.Subscriptions)
		}
	})
}

func TestWhatCannotBeGivenAgainFlushesOnce(t *testing.T) {
	type real = func() ([][]byte, error)
	type instead = func(context.Context, real) ([][]byte, error)
	give := func(change func(frames [][]byte) [][]byte) instead {
		return func(_ context.Context, real real) ([][]byte, error) {
			frames, err := real()
			return change(frames), err
		}
	}
	failed := errors.New("out of order")
	for name, c := range map[string]struct {
		instead instead
		want    error // of the event
	}{
		"gone":            {func(context.Context, real) ([][]byte, error) { return nil, fmt.Errorf("no: %w", invalidation.ErrGone) }, invalidation.ErrGone},
		"an error":        {func(context.Context, real) ([][]byte, error) { return nil, failed }, failed},
		"a frame missing": {give(func(frames [][]byte) [][]byte { return frames[1:] }), invalidation.ErrGone},
		"a frame more":    {give(func(frames [][]byte) [][]byte { return append(frames, frames[0]) }), invalidation.ErrGone},
		"nothing":         {give(func([][]byte) [][]byte { return nil }), invalidation.ErrGone},
		"a hanging server": {func(ctx context.Context, _ real) ([][]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, context.DeadlineExceeded},
		"a server that is gone":  {func(context.Context, real) ([][]byte, error) { return nil, invalidation.ErrUnavailable }, invalidation.ErrUnavailable},
		"an unreadable frame":    {give(func(frames [][]byte) [][]byte { frames[len(frames)-1] = []byte("?"); return frames }), nil},
		"an ability that is off": {func(context.Context, real) ([][]byte, error) { return nil, invalidation.ErrUnsupported }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := membus.NewHub()
				a := start(t, hub, "", nil)
				b, events := startReplaying(t, hub, c.instead)
				time.Sleep(bound)
				synctest.Wait()
				hub.Drop(2)
				a.announce(t, invalidate("1"), invalidate("2"))
				a.announce(t, invalidate("3"))
				missed := time.Now()
				a.announce(t, invalidate("4"))
				time.Sleep(10 * bound)
				synctest.Wait()
				if got := b.seen().flushes; !slices.Equal(got[1:], []string{invalidation.FlushGap}) {
					t.Errorf("flushes %v", got)
				}
				flushes := events(invalidation.EventFlush)
				if err := flushes[len(flushes)-1].Err; c.want != nil && !errors.Is(err, c.want) || (err == nil) != (name == "an ability that is off") {
					t.Errorf("the event has %v, want %v", err, c.want)
				}
				if got := b.seen().keys; !slices.Equal(got, []string{"invalidate:4"}) {
					t.Errorf("heard %v: all or nothing is given again", got)
				}
				if b.trustLeft() < bound/2 || !b.seen().trusted.After(missed) || b.bus.Stats().Replays != 0 {
					t.Errorf("trusted for %v, %d replays", b.trustLeft(), b.bus.Stats().Replays)
				}
			})
		})
	}
}

func TestNothingIsTrustedWhileACatchUpIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		open := make(chan struct{})
		a := start(t, hub, "", nil)
		b, _ := startReplaying(t, hub, func(_ context.Context, real func() ([][]byte, error)) ([][]byte, error) {
			select {
			case <-open:
			case <-time.After(bound / 2):
				t.Error("the catch-up was to end before that")
			}
			return real()
		})
		time.Sleep(bound)
		synctest.Wait()
		hub.Drop(1)
		a.announce(t, invalidate("lost"))
		missed := time.Now()
		time.Sleep(bound / 2) // heartbeats show it, and come back
		if last := b.seen().trusted; last.After(missed) {
			t.Errorf("trusted by a heartbeat sent %v after the loss", last.Sub(missed))
		}
		if len(b.seen().keys) > 0 {
			t.Fatal("the catch-up is not open")
		}
		close(open)
		synctest.Wait()
		if !slices.Equal(b.seen().keys, []string{"invalidate:lost"}) || len(b.seen().flushes) != 1 || !b.seen().trusted.After(missed) {
			t.Errorf("heard %v, flushes %v, trusted %v after the loss", b.seen().keys, b.seen().flushes, b.seen().trusted.Sub(missed))
		}
	})
}

func TestAServerThatDoesNotAnswerYetIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		tries := 0
		a := start(t, hub, "", nil)
		b, _ := startReplaying(t, hub, func(_ context.Context, real func() ([][]byte, error)) ([][]byte, error) {
			if tries++; tries < 4 {
				return nil, fmt.Errorf("not yet: %w", invalidation.ErrUnavailable)
			}
			return real()
		})
		time.Sleep(bound)
		synctest.Wait()
		hub.Drop(1)
		a.announce(t, invalidate("lost"))
		time.Sleep(bound)
		synctest.Wait()
		if tries != 4 || len(b.seen().keys) != 1 || len(b.seen().flushes) != 1 {
			t.Errorf("%d tries, heard %v, flushes %v", tries, b.seen().keys, b.seen().flushes)
		}
	})
}

func TestCloseEndsACatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		entered := make(chan struct{}, 1)
		a := start(t, hub, "", nil)
		b, _ := startReplaying(t, hub, func(ctx context.Context, _ func() ([][]byte, error)) ([][]byte, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		time.Sleep(bound)
		hub.Drop(1)
		a.announce(t, invalidate("lost"))
		<-entered
		if err := b.Attachment.Close(); err != nil { // does not wait for the server
			t.Error(err)
		}
		began := time.Now()
		if err := b.bus.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("Close took %v: %v", time.Since(began), err)
		}
	})
}

func TestALongStretchIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		hub.Reach(2 * invalidation.MaxReplay)
		asked := 0
		b, events := startReplaying(t, hub, func(_ context.Context, real func() ([][]byte, error)) ([][]byte, error) {
			asked++
			return real()
		})
		time.Sleep(bound)
		synctest.Wait()
		hub.Drop(invalidation.MaxReplay + 1)
		a := hub.Transport()
		defer a.Close()
		if _, err := a.Publish(t.Context(), make([][]byte, invalidation.MaxReplay+1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bound)
		synctest.Wait()
		flushes := events(invalidation.EventFlush)
		if err := flushes[len(flushes)-1].Err; asked != 0 || len(flushes) != 2 || !errors.Is(err, invalidation.ErrGone) || len(b.seen().keys) > 0 {
			t.Errorf("asked %d times, flushes %v: %v", asked, b.seen().flushes, err)
		}
	})
}
