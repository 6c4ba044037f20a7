package tier

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
)

// writeAndTell does ops at keys and announces these, in one round trip where the store and the bus are one Redis. Else it does
// the ops alone, and told is false: the caller announces. A change is announced after it was done, or whatever became of it.
func (c *Cache[K, V]) writeAndTell(ctx context.Context, verb invalidation.Verb, keys []string, ops []driver.Op) (effects []driver.Effect, told bool) {
	if verb == silently || c.bus == nil || c.twoSteps.Load() || announceable(keys) != len(keys) {
		return c.remote.Write(ctx, ops...), false
	}
	m := invalidation.Message{Verb: verb, Keys: keys}
	ride, err := c.bus.Ride(ctx, m)
	if err == nil {
		var replies [][]byte
		if effects, replies, err = c.remote.WriteWith(ctx, ops, ride.Rider); err == nil {
			at, err := ride.Done(replies[0])
			if err == nil {
				c.guard.told(at, m)
			}
			return effects, err == nil || weaken.Off(weaken.Ride)
		}
	}
	if errors.Is(err, ErrUnsupported) {
		c.twoSteps.Store(len(ops) == 1) // of several it may be their number
	}
	return c.remote.Write(ctx, ops...), false
}

// silently is the verb of what is not announced.
const silently invalidation.Verb = 0

func keysOf[K comparable, V any](changes []*change[K, V]) []string {
	keys := make([]string, len(changes))
	for i, ch := range changes {
		keys[i] = ch.w.remoteKey
	}
	return keys
}
