package membus_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/invalidationtest"
	"github.com/strata-cache/strata/invalidation/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	invalidationtest.Run(t, func(*testing.T) invalidationtest.Harness {
		hub := membus.NewHub()
		return invalidationtest.Harness{
			Transport: func(testing.TB) invalidation.Transport { return hub.Transport() },
			Cut:       func(testing.TB) { hub.Cut() },
			Registers: true,
			Replays:   true,
			Forget: func(testing.TB) {
				hub.Reach(0)
				hub.Reach(membus.DefaultReach)
			},
			Lose: func(testing.TB) { hub.Restart() },
			Stop: func(testing.TB) { hub.Stop() },
		}
	})
}

func TestAListenerThatFallsBehindIsSubscribedAnew(t *testing.T) {
	t.Parallel()
	hub := membus.NewHub()
	slow := hub.Transport()
	defer slow.Close()
	if d, err := slow.Receive(t.Context()); err != nil || d.Kind != invalidation.Subscribed {
		t.Fatalf("got %v, %v", d, err)
	}
	other := hub.Transport()
	defer other.Close()
	for range membus.QueueLength + 1 {
		if _, err := other.Publish(t.Context(), [][]byte{{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := slow.Receive(t.Context()); err != nil || d.Kind != invalidation.Subscribed || d.Position != hub.Head() {
		t.Fatalf("after an overflow: got %v, %v, want Subscribed at %v", d, err, hub.Head())
	}
}

func TestAStoppedHubIsUnavailable(t *testing.T) {
	t.Parallel()
	hub := membus.NewHub()
	tr := hub.Transport()
	defer tr.Close()
	hub.Stop()
	if _, err := tr.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := tr.Receive(t.Context()); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Receive: %v", err)
	}
	hub.Start()
	if d, err := tr.Receive(t.Context()); err != nil || d.Kind != invalidation.Subscribed {
		t.Errorf("after Start: %v, %v", d, err)
	}
}
