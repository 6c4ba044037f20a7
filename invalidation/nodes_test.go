package invalidation_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// fragile is a transport whose node can be killed, and kept from hearing.
type fragile struct {
	invalidation.Transport
	killed context.Context // publishes and hears nothing from its end on
	kill   func()
	deaf   chan struct{} // closed: nothing is held back
}

func newFragile(hub *membus.Hub) *fragile {
	f := &fragile{Transport: hub.Transport(), deaf: make(chan struct{})}
	f.killed, f.kill = context.WithCancel(context.Background())
	close(f.deaf)
	return f
}

func (f *fragile) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	if f.killed.Err() != nil {
		<-ctx.Done()
		return invalidation.Position{}, ctx.Err()
	}
	return f.Transport.Publish(ctx, frames)
}

func (f *fragile) Receive(ctx context.Context) (invalidation.Delivery, error) {
	d, err := f.Transport.Receive(ctx)
	select {
	case <-f.deaf:
	case <-ctx.Done():
		return d, ctx.Err()
	}
	if f.killed.Err() != nil {
		<-ctx.Done()
		return d, ctx.Err()
	}
	return d, err
}

// startFragile starts a node that keeps the bound, with a cache attached.
func startFragile(t *testing.T, hub *membus.Hub, bound time.Duration) (*fragile, *invalidation.Bus) {
	t.Helper()
	f := newFragile(hub)
	bus := invalidation.New(f, nil)
	t.Cleanup(func() { bus.Close() })
	if _, err := bus.Attach("c", "", bound, &cache{}); err != nil {
		t.Fatal(err)
	}
	return f, bus
}

// longAfter is when everybody has heard of everybody.
func longAfter() { time.Sleep(4 * time.Second); synctest.Wait() }

// took is how long n waits for the others.
func took(t *testing.T, n node) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.bus.WaitForNodes(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestWaitingForNodesTakesAHeartbeatOfEachAndNoMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		_, slow := startFragile(t, hub, 3*bound)
		longAfter()
		if d := took(t, n); d > 3*bound/5 {
			t.Errorf("with nothing announced it took %v", d)
		}
		p := n.announce(t, invalidate("k"))
		published := n.bus.Stats().Published
		d := took(t, n)
		if d == 0 || d > 2*3*bound/5 {
			t.Errorf("it took %v, and the slowest node tells of itself every %v", d, 3*bound/5)
		}
		if slow.Position().Before(p) {
			t.Error("a node had not applied what was announced")
		}
		if now := n.bus.Stats().Published; now != published {
			t.Errorf("%d frames were published meanwhile", now-published)
		}
	})
}

func TestANodeThatIsBehindIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		f, other := startFragile(t, hub, bound)
		longAfter()
		f.deaf = make(chan struct{}) // it goes on to send heartbeats, and hears nothing
		p := n.announce(t, invalidate("k"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*bound)
		defer cancel()
		if err := n.bus.WaitForNodes(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a node is behind, and the answer %v", err)
		}
		close(f.deaf)
		if took(t, n); other.Position().Before(p) {
			t.Error("a node had not applied what was announced")
		}
	})
}

func TestAKilledNodeIsWaitedForUntilItsTrustHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		f, _ := startFragile(t, hub, 4*bound)
		longAfter()
		killed := time.Now()
		f.kill()
		n.announce(t, invalidate("k"))
		took(t, n)
		// Its last heartbeat was sent up to a fifth of its bound before.
		if d := time.Since(killed); d < 4*bound*4/5 || d > 4*bound+2*bound/5 {
			t.Errorf("it was waited for %v after it was killed, and its bound is %v", d, 4*bound)
		}
		n.announce(t, invalidate("k"))
		if d := took(t, n); d > 0 {
			t.Errorf("later it took %v", d)
		}
	})
}

func TestANodeThatLeavesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		other := invalidation.New(hub.Transport(), nil)
		a, err := other.Attach("c", "", time.Minute, &cache{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := errors.Join(a.Close(), other.Close()); err != nil {
			t.Fatal(err)
		}
		n.announce(t, invalidate("k"))
		if d := took(t, n); d > bound {
			t.Errorf("it took %v", d)
		}
	})
}

func TestANodeThatHearsNothingWaitsForTheOthersHoweverLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		f := newFragile(hub)
		bus := invalidation.New(f, nil)
		defer bus.Close()
		a, err := bus.Attach("c", "", bound, &cache{})
		if err != nil {
			t.Fatal(err)
		}
		g, _ := startFragile(t, hub, bound)
		longAfter()
		g.deaf, f.deaf = make(chan struct{}), make(chan struct{})
		defer close(g.deaf)
		if _, err := a.Announce(t.Context(), invalidate("k")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*bound)
		defer cancel()
		if err := bus.WaitForNodes(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the answer of a node that hears nobody is %v", err)
		}
		close(f.deaf)
	})
}

func TestANewNodeListensBeforeItKnowsWhomToWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		startFragile(t, hub, 2*bound)
		longAfter()
		n := start(t, hub, "", nil)
		if d := took(t, n); d < invalidation.DefaultMaxStaleness || d > invalidation.DefaultMaxStaleness+bound {
			t.Errorf("it took %v", d)
		}
	})
}

func TestNodesThatMovedToAnotherLogHaveReachedWhatStoodInTheOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		startFragile(t, hub, bound)
		longAfter()
		hub.Pause()
		n.announce(t, invalidate("k"))
		done := make(chan error, 1)
		go func() { done <- n.bus.WaitForNodes(t.Context()) }()
		synctest.Wait()
		hub.Restart()
		hub.Resume()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingForNodesEndsWithTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		hub.Stop()
		n := start(t, hub, "", nil)
		done := make(chan error, 1)
		go func() { done <- n.bus.WaitForNodes(t.Context()) }()
		synctest.Wait()
		n.bus.Close()
		if err := <-done; !errors.Is(err, invalidation.ErrClosed) {
			t.Error(err)
		}
		if err := n.bus.WaitForNodes(t.Context()); !errors.Is(err, invalidation.ErrClosed) {
			t.Error(err)
		}
	})
}
