package memcachedbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
)

// replayCalls is for how many timeouts of the pool a replay goes on; a request takes a small part of one.
const replayCalls = 10

// Replay implements invalidation.Replayer.
func (t *transport) Replay(ctx context.Context, after invalidation.Position, through uint64) (frames [][]byte, err error) {
	err = t.call(ctx, "replay", func(ctx context.Context) error {
		timed, cancel := context.WithTimeout(ctx, replayCalls*t.pool.Options().Timeout)
		defer cancel()
		var f found
		err := t.owner.Read(timed, func(s *memcachedconn.Session) (err error) {
			f, err = t.read(s)
			return err
		})
		if err == nil && (f.lost || f.log.of != after.Incarnation || f.log.head < through) {
			err = fmt.Errorf("from %v through %d: %w", after, through, invalidation.ErrGone)
		}
		if err == nil {
			frames, err = t.framesOf(timed, f.log, after.N, through)
		}
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("not in %v: %w", replayCalls*t.pool.Options().Timeout, invalidation.ErrUnavailable)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return frames, nil
}
