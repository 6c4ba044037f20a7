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

func TestPingTellsWhetherAnnouncementsAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		bus := membus.Bus(hub, nil)
		defer bus.Close()
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			return bus.Ping(ctx)
		}
		for range 3 {
			if err := within(time.Minute); err != nil {
				t.Errorf("Ping: %v", err)
			}
		}
		hub.Pause() // it takes announcements, and nobody hears them
		if err := within(100 * time.Millisecond); err != context.DeadlineExceeded {
			t.Errorf("Ping of a bus that nobody hears: %v", err)
		}
		hub.Resume()
		hub.Stop()
		began := time.Now()
		if err := within(time.Minute); !errors.Is(err, invalidation.ErrUnavailable) || time.Since(began) > 0 {
			t.Errorf("Ping of a stopped hub: %v, after %v", err, time.Since(began))
		}
		hub.Start()
		if err := within(time.Minute); err != nil { // only a heartbeat after the new subscription comes back
			t.Errorf("Ping after Start: %v", err)
		}
		if err := bus.Close(); err != nil {
			t.Fatal(err)
		}
		if err := within(time.Minute); !errors.Is(err, invalidation.ErrClosed) {
			t.Errorf("Ping after Close: %v", err)
		}
	})
}
