package invalidation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

const bound = time.Second

// cache is a handler that notes everything.
type cache struct {
	mu         sync.Mutex
	keys       []string
	own        []bool
	flushes    []string
	trusted    time.Time
	trusts     []time.Time
	mismatches int
}

func (c *cache) Apply(_ invalidation.Position, own bool, m invalidation.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, m.Verb.String()+":"+strings.Join(m.Keys, ","))
	c.own = append(c.own, own)
}

func (c *cache) Flush(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushes = append(c.flushes, reason)
}

func (c *cache) Trust(sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted = sent
	c.trusts = append(c.trusts, sent)
}

func (c *cache) Mismatched(string, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mismatches++
}

// seen is a copy of what was noted.
func (c *cache) seen() (s struct {
	keys, flushes []string
	own           []bool
	trusted       time.Time
	trusts        []time.Time
	mismatches    int
}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.keys, s.flushes, s.own = slices.Clone(c.keys), slices.Clone(c.flushes), slices.Clone(c.own)
	s.trusted, s.trusts, s.mismatches = c.trusted, slices.Clone(c.trusts), c.mismatches
	return s
}

// trustLeft is how long hits may still be served.
func (c *cache) trustLeft() time.Duration {
	return time.Until(c.seen().trusted.Add(bound))
}

type node struct {
	*cache
	*invalidation.Attachment
	bus *invalidation.Bus
}

// gated is a transport that hears nothing until its gate opens.
type gated struct {
	invalidation.Transport
	gate chan struct{}
}

func (g gated) Receive(ctx context.Context) (invalidation.Delivery, error) {
	select {
	case <-g.gate:
		return g.Transport.Receive(ctx)
	case <-ctx.Done():
		return invalidation.Delivery{}, ctx.Err()
	}
}

// start starts a node whose cache hears the first subscription too: it is attached before that begins.
func start(t *testing.T, hub *membus.Hub, fingerprint string, o *invalidation.Options) node {
	t.Helper()
	g := gated{hub.Transport(), make(chan struct{})}
	defer close(g.gate)
	n := node{cache: &cache{}, bus: invalidation.New(g, o)}
	t.Cleanup(func() {
		if err := n.bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	var err error
	if n.Attachment, err = n.bus.Attach("c", fingerprint, bound, n.cache); err != nil {
		t.Fatal(err)
	}
	return n
}

func invalidate(keys ...string) invalidation.Message {
	return invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: keys}
}

func (n node) announce(t *testing.T, messages ...invalidation.Message) invalidation.Position {
	t.Helper()
	p, err := n.Announce(t.Context(), messages...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnnouncementsReachEveryNodeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		synctest.Wait()
		a.announce(t, invalidate("1", "2"), invalidation.Message{Verb: invalidation.VerbTag, Keys: []string{"red"}})
		b.announce(t, invalidation.Message{Verb: invalidation.VerbClear})
		p := a.announce(t, invalidation.Message{Verb: invalidation.VerbExpire, Keys: []string{"3"}})
		synctest.Wait()
		for i, n := range []node{a, b} {
			want := []string{"invalidate:1,2", "tag:red", "clear:", "expire:3"}
			if !slices.Equal(n.seen().keys, want) {
				t.Errorf("node %d heard %v, want %v", i, n.seen().keys, want)
			}
			if n.seen().own[0] != (i == 0) || n.seen().own[2] != (i == 1) {
				t.Errorf("node %d: own %v", i, n.seen().own)
			}
			if n.Position().Before(p) || len(n.seen().flushes) > 1 {
				t.Errorf("node %d: at %v, announced at %v, flushes %v", i, n.Position(), p, n.seen().flushes)
			}
		}
	})
}

func TestTrustIsRenewedWithinTheBoundForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, membus.NewHub(), "", nil)
		time.Sleep(bound) // until the pace is that of the cache, which was attached after the first heartbeat
		for range 100 {
			time.Sleep(bound / 7)
			synctest.Wait()
			if left := n.trustLeft(); left < bound/2 || left > bound {
				t.Fatalf("trusted for another %v, want between %v and %v", left, bound/2, bound)
			}
		}
		if st := n.bus.Stats(); st.Published > 0 || st.Trusted < 50 || st.Trusted > 120 {
			t.Errorf("%d heartbeats trusted in %v", st.Trusted, bound+100*bound/7)
		}
	})
}

func TestALostFrameFlushesAndTrustBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		time.Sleep(bound)
		synctest.Wait()
		flushes := len(b.seen().flushes)
		hub.Drop(1)
		lost := time.Now()
		a.announce(t, invalidate("lost"))
		synctest.Wait()
		if len(b.seen().flushes) != flushes {
			t.Fatal("nobody can know yet")
		}
		time.Sleep(bound)
		synctest.Wait()
		if got := b.seen().flushes[flushes:]; !slices.Equal(got, []string{invalidation.FlushGap}) {
			t.Errorf("flushes after a lost frame: %v", got)
		}
		if left := b.trustLeft(); left < bound/2 || !b.seen().trusted.After(lost) {
			t.Errorf("trust did not come back: %v left", left)
		}
		if st := b.bus.Stats(); st.Gaps != 1 {
			t.Errorf("%d gaps counted", st.Gaps)
		}
	})
}

func TestNoHeartbeatSentBeforeAFlushIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", &invalidation.Options{Heartbeat: 400 * time.Millisecond})
		time.Sleep(bound)
		synctest.Wait()
		before := n.seen().trusted
		hub.Pause()
		hub.Drop(1)
		a := hub.Transport()
		defer a.Close()
		if _, err := a.Publish(t.Context(), [][]byte{{1}}); err != nil { // lost, which the next heartbeat shows
			t.Fatal(err)
		}
		time.Sleep(450 * time.Millisecond)
		held := time.Now()
		hub.Resume()
		synctest.Wait()
		for _, sent := range n.seen().trusts {
			if sent.After(before) && sent.Before(held) {
				t.Errorf("trusted by a heartbeat sent %v before the flush", held.Sub(sent))
			}
		}
		time.Sleep(bound)
		synctest.Wait()
		if len(n.seen().flushes) < 2 || !n.seen().trusted.After(held) {
			t.Errorf("flushes %v, trusted %v after the loss", n.seen().flushes, n.seen().trusted.Sub(held))
		}
	})
}

func TestSilenceEndsTrustAndReplacesTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silences int
		hub := membus.NewHub()
		n := start(t, hub, "", &invalidation.Options{OnEvent: func(e invalidation.Event) {
			if e.Kind == invalidation.EventSilence {
				silences++
			}
		}})
		time.Sleep(bound)
		hub.Pause()
		paused := time.Now()
		time.Sleep(3 * bound)
		synctest.Wait()
		if n.seen().trusted.After(paused) {
			t.Errorf("trusted by a heartbeat sent %v into the silence", n.seen().trusted.Sub(paused))
		}
		if r := n.bus.Stats().Reconnects; r < 2 || silences != int(r) {
			t.Errorf("%d reconnects, %d events in three bounds of silence", r, silences)
		}
		hub.Resume()
		time.Sleep(bound / 2)
		synctest.Wait()
		if n.trustLeft() < bound/2 || len(n.seen().flushes) < 2 {
			t.Errorf("after the silence: trust for %v, flushes %v", n.trustLeft(), n.seen().flushes)
		}
	})
}

func TestAnotherIncarnationFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		time.Sleep(bound)
		synctest.Wait()
		hub.Restart()
		time.Sleep(bound)
		synctest.Wait()
		if got := n.seen().flushes[len(n.seen().flushes)-1]; got != invalidation.FlushIncarnation || n.trustLeft() < bound/2 {
			t.Errorf("flushes %v, trust for %v", n.seen().flushes, n.trustLeft())
		}
	})
}

func TestAnUnreadableFrameIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		n := start(t, hub, "", nil)
		time.Sleep(bound)
		synctest.Wait()
		flushes := len(n.seen().flushes)
		stranger := hub.Transport()
		defer stranger.Close()
		if _, err := stranger.Publish(t.Context(), [][]byte{[]byte("sB\x02 a version that is not out yet")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bound)
		synctest.Wait()
		if got := n.seen().flushes[flushes:]; !slices.Equal(got, []string{invalidation.FlushGap}) || n.bus.Stats().Dropped != 1 {
			t.Errorf("flushes %v, %d dropped", got, n.bus.Stats().Dropped)
		}
	})
}

func TestOtherOptionsUnderOneNameAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		hub := membus.NewHub()
		a := start(t, hub, "json", &invalidation.Options{OnEvent: func(e invalidation.Event) {
			if e.Kind == invalidation.EventMismatch {
				events = append(events, e.Err.Error())
			}
		}})
		b := start(t, hub, "msgpack", nil)
		time.Sleep(3 * bound)
		synctest.Wait()
		if a.seen().mismatches < 5 || b.seen().mismatches < 5 || len(events) != 1 || !strings.Contains(events[0], "msgpack") {
			t.Errorf("mismatched %d and %d times, events %q", a.seen().mismatches, b.seen().mismatches, events)
		}
	})
}

func TestAnUnavailableServerFailsAnnouncementsAndIsOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		hub.Stop()
		n := start(t, hub, "", nil)
		if _, err := n.Announce(t.Context(), invalidate("k")); !errors.Is(err, invalidation.ErrUnavailable) {
			t.Errorf("Announce while stopped: %v", err)
		}
		time.Sleep(10 * bound)
		hub.Start()
		time.Sleep(2 * bound)
		synctest.Wait()
		if n.trustLeft() < bound/2 {
			t.Errorf("no trust after the server came: %v", n.trustLeft())
		}
	})
}

func TestANameIsAttachedOnce(t *testing.T) {
	n := start(t, membus.NewHub(), "", nil)
	if _, err := n.bus.Attach("c", "", bound, &cache{}); !errors.Is(err, invalidation.ErrAttached) {
		t.Errorf("a second attach: %v", err)
	}
	if err := n.Attachment.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.bus.Attach("c", "", bound, &cache{}); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if _, err := n.Announce(t.Context(), invalidate("k")); !errors.Is(err, invalidation.ErrClosed) {
		t.Errorf("Announce of a closed attachment: %v", err)
	}
}

func TestCloseIsIdempotentAndSafe(t *testing.T) {
	t.Parallel()
	n := start(t, membus.NewHub(), "", nil)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for {
				_, err := n.Announce(context.Background(), invalidate(fmt.Sprint(i)))
				if err != nil && !errors.Is(err, invalidation.ErrClosed) {
					t.Errorf("Announce: %v", err)
				}
				if err != nil {
					return
				}
			}
		})
	}
	for range 4 {
		work.Go(func() {
			if err := n.bus.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	work.Wait()
	if _, err := n.bus.Attach("d", "", bound, &cache{}); !errors.Is(err, invalidation.ErrClosed) {
		t.Errorf("Attach after Close: %v", err)
	}
}

func TestHintsWakeThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		synctest.Wait()
		here, doneHere := a.bus.Woken("lock/1")
		there, doneThere := b.bus.Woken("lock/1")
		other, doneOther := b.bus.Woken("lock/2")
		defer doneHere()
		defer doneOther()
		at := b.Position()
		a.bus.Wake("lock/1")
		synctest.Wait()
		if len(here) != 1 || len(there) != 1 || len(other) != 0 || b.Position() != at {
			t.Errorf("woken: %d here, %d there, %d elsewhere; position %v, was %v", len(here), len(there), len(other), b.Position(), at)
		}
		<-there
		doneThere()
		a.bus.Wake("lock/1")
		synctest.Wait()
		if len(there) != 0 {
			t.Error("woken after the interest had ended")
		}
	})
}
