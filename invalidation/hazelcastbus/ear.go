package hazelcastbus

import (
	"context"
	"time"
)

// hearPause is the pause after a failure of reading hints.
const hearPause = 200 * time.Millisecond

// hear is the goroutine that delivers hints from a sequence on. They may be lost: where the ring buffer does not reach, or Receive
// does not keep up, it goes on with what is there.
func (t *transport) hear(next int64) {
	for t.ctx.Err() == nil {
		entries, err := t.listen(next)
		if err != nil {
			sleep(t.ctx, hearPause)
			continue
		}
		for _, e := range entries {
			next = e.seq + 1
			t.inbox.Hint(e.raw)
		}
	}
}

func (t *transport) listen(next int64) ([]entry, error) {
	ctx, cancel := context.WithTimeout(t.ctx, slice)
	defer cancel()
	entries, err := t.read(ctx, 2*slice, t.names.hints, next, 1)
	if err != nil && ctx.Err() != nil {
		return nil, nil
	}
	return entries, err
}
