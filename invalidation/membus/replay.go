package membus

import (
	"bytes"
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
)

// Replay implements invalidation.Replayer.
func (t *transport) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := t.usableLocked(ctx, "replay"); err != nil {
		return nil, err
	}
	first := h.head.N - uint64(len(h.recent)) // the position before the oldest frame that is kept
	if after.Incarnation != h.head.Incarnation || after.N < first || after.N > through || through > h.head.N {
		return nil, fmt.Errorf("membus: replay from %v: the log holds %d frames up to %v: %w", after, len(h.recent), h.head, invalidation.ErrGone)
	}
	var frames [][]byte
	size := 0
	for _, frame := range h.recent[after.N-first : through-first] {
		if size += len(frame); size > invalidation.MaxReplayBytes {
			return nil, fmt.Errorf("membus: replay from %v: more than %d bytes: %w", after, invalidation.MaxReplayBytes, invalidation.ErrGone)
		}
		frames = append(frames, bytes.Clone(frame))
	}
	return frames, nil
}
