package hazelcastbus

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
)

// replayCalls is for how many timeouts of the connection a replay goes on; a call takes a small part of one.
const replayCalls = 10

// Replay implements invalidation.Replayer. It begins with the entry at after itself: where that one is gone, nobody can say
// whether what follows does follow it; so it is where another one stands there, in a log that lost its tail and grew again.
func (t *transport) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	if err := t.usable(ctx, "replay"); err != nil {
		return nil, err
	}
	if after.N == 0 {
		return nil, t.gone(after) // no entry has that position
	}
	timed, cancel := context.WithTimeout(ctx, replayCalls*t.conn.Timeout())
	defer cancel()
	frames, size := make([][]byte, 0, through-after.N), 0
	for next := int64(after.N) - 1; next < int64(through); {
		entries, err := t.read(timed, t.conn.Timeout(), t.names.log, next, 0)
		switch {
		case err != nil && ctx.Err() == nil && timed.Err() != nil:
			return nil, fmt.Errorf("hazelcastbus: replay: %d of %d frames came within %v: %w",
				len(frames), cap(frames), replayCalls*t.conn.Timeout(), invalidation.ErrUnavailable)
		case err != nil:
			return nil, t.wrap(ctx, "replay", err)
		case len(entries) == 0:
			return nil, t.gone(after)
		}
		for _, e := range entries[:min(len(entries), int(int64(through)-next))] {
			of, frame, err := readItem(e.raw)
			switch {
			case e.seq != next || err != nil || of != after.Incarnation || t.known.isOther(e):
				return nil, t.gone(after)
			case uint64(e.seq) >= after.N:
				if size += len(frame); len(frame) == 0 || size > invalidation.MaxReplayBytes {
					return nil, t.gone(after)
				}
				frames = append(frames, frame)
			}
			next++
		}
	}
	return frames, nil
}

func (t *transport) gone(after invalidation.Position) error {
	return fmt.Errorf("hazelcastbus: replay from %v: %w", after, invalidation.ErrGone)
}
