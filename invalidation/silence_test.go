package invalidation_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// distant is a transport whose subscriptions take a while, and begin anew if they are replaced meanwhile.
type distant struct {
	invalidation.Transport
	takes    time.Duration
	replaced *atomic.Int64
}

func (d distant) Reconnect() {
	d.replaced.Add(1)
	d.Transport.Reconnect()
}

func (d distant) Receive(ctx context.Context) (invalidation.Delivery, error) {
	for {
		before := d.replaced.Load()
		got, err := d.Transport.Receive(ctx)
		if err != nil || got.Kind != invalidation.Subscribed {
			return got, err
		}
		select {
		case <-time.After(d.takes):
		case <-ctx.Done():
			return got, ctx.Err()
		}
		if d.replaced.Load() == before {
			return got, nil
		}
	}
}

func TestASubscriptionThatTakesLongerThanTheBoundComesAboutAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := invalidation.New(distant{membus.NewHub().Transport(), 3 * bound / 2, new(atomic.Int64)}, nil)
		defer b.Close()
		n := node{cache: &cache{}}
		if _, err := b.Attach("c", "", bound, n.cache); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * bound)
		synctest.Wait()
		if n.trustLeft() < bound/2 {
			t.Errorf("trust for %v after %d replacements", n.trustLeft(), b.Stats().Reconnects)
		}
	})
}
