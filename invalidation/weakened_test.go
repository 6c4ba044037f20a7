package invalidation_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// The ways in which a node would be trusted for what it has not heard, each of which one mechanism prevents. Each returns
// whether it was.
var unjustified = []struct {
	name string
	off  weaken.Mechanism
	run  func(t *testing.T) bool
}{
	{"a lost frame is noticed by the next", weaken.Replay, func(t *testing.T) bool {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		settleDown()
		hub.Drop(1)
		a.announce(t, invalidate("lost"))
		lost := time.Now()
		settleDown()
		return b.trustedPast(lost)
	}},
	{"nothing is trusted while a catch-up is open", weaken.TrustGate, func(t *testing.T) bool {
		hub, unjust := membus.NewHub(), false
		a := start(t, hub, "", &invalidation.Options{Heartbeat: time.Hour}) // so that b's own is what shows the gap
		var b node
		var lost time.Time
		b, _ = startReplaying(t, hub, func(_ context.Context, real func() ([][]byte, error)) ([][]byte, error) {
			unjust = b.trustedPast(lost)
			return real()
		})
		settleDown()
		hub.Drop(1)
		lost = time.Now()
		a.announce(t, invalidate("lost"))
		settleDown()
		return unjust
	}},
	{"another log is not taken for the same because it has come as far", weaken.IdentityFlush, func(t *testing.T) bool {
		hub := membus.NewHub()
		a, b := start(t, hub, "", nil), start(t, hub, "", nil)
		settleDown()
		hub.Pause()
		before := b.Position()
		hub.Restart()
		a.announce(t, invalidate("lost"))
		lost := time.Now()
		other := hub.Transport()
		defer other.Close()
		for hub.Head().N < before.N {
			if _, err := other.Publish(t.Context(), [][]byte{{0}}); err != nil {
				t.Fatal(err)
			}
		}
		hub.Resume()
		settleDown()
		return b.trustedPast(lost)
	}},
}

// settleDown lets heartbeats come back.
func settleDown() {
	time.Sleep(bound)
	synctest.Wait()
}

// trustedPast reports whether the node is trusted by a heartbeat that was sent after at, though it has neither heard of "lost",
// nor flushed, but for its first subscription.
func (n node) trustedPast(at time.Time) bool {
	s := n.seen()
	return s.trusted.After(at) && !slices.Contains(s.keys, "invalidate:lost") && len(s.flushes) <= 1
}

// Not parallel: the switches are the process's.
func TestEachMechanismIsWhatPreventsUnjustifiedTrust(t *testing.T) {
	for _, c := range unjustified {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.run(t) {
					t.Error("trusted for what was missed")
				}
			})
			for range 20 { // which heartbeat comes first is not ours to say
				wrong := false
				synctest.Test(t, func(t *testing.T) {
					defer weaken.Switch(c.off)()
					wrong = c.run(t)
				})
				if wrong {
					return
				}
			}
			t.Errorf("without %v nothing is wrong, so this test proves nothing", c.off)
		})
	}
}
