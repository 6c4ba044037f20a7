package invalidation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/weaken"
)

// replayTimeout bounds a catch-up; half the smallest bound does, too. Nothing is received meanwhile: if it took so long that the
// subscription were replaced for its silence, a server that gives nothing again would lead from one catch-up to the next.
const replayTimeout = 3 * time.Second

// settle does what a verdict asks for, after which nothing that stands in the log up to its position is missing: it catches
// up, or flushes. It reports whether it flushed.
func (b *Bus) settle(t *tracker, v verdict) (flushed bool) {
	if v.reason == "" {
		return false
	}
	if weaken.Off(weaken.Replay) {
		b.restart(t, v.to)
		return false
	}
	var err error
	if v.behind {
		if err = b.catchUp(t, v); err == nil {
			return false
		}
		if errors.Is(err, ErrUnsupported) {
			err = nil // not tried
		}
	}
	if b.ctx.Err() != nil {
		return false // the bus closes, and nothing is trusted any more
	}
	b.flush(v.reason, err)
	b.restart(t, v.to)
	b.watchers.missed(v.reason, v.to)
	return true
}

// restart begins at a position, before which this node knows nothing.
func (b *Bus) restart(t *tracker, at Position) {
	t.reset(at)
	b.nodes.missed(at.Incarnation)
	b.guard.listen(at)
	b.signer.follow(at, time.Time{})
	b.applied(at)
}

// catchUp applies what was missed up to a verdict's position, all or nothing.
func (b *Bus) catchUp(t *tracker, v verdict) error {
	r, ok := b.transport.(Replayer)
	if !ok {
		return ErrUnsupported
	}
	missed := v.to.N - t.at.N
	if missed > MaxReplay {
		return fmt.Errorf("%d frames: %w", missed, ErrGone)
	}
	frames, err := b.replay(r, t.at, v.to.N)
	if err != nil {
		return err
	}
	if uint64(len(frames)) != missed {
		return fmt.Errorf("%d frames of %d were given again: %w", len(frames), missed, ErrGone)
	}
	contents := make([]content, len(frames))
	for i, frame := range frames {
		if contents[i], err = b.decodeEntry(frame); err != nil {
			return err
		}
	}
	t.open(v.to)
	for _, c := range contents {
		b.reapply(t, c)
	}
	b.count.replays.Add(1)
	b.count.replayed.Add(missed)
	b.emit(Event{Kind: EventReplay, Reason: v.reason, Frames: len(frames)})
	return nil
}

// replay asks for frames, again while the server does not answer: it is about to come back, as it just told what was missed.
func (b *Bus) replay(r Replayer, after Position, through uint64) (frames [][]byte, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, min(b.smallestBound()/2, replayTimeout))
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		frames, err = r.Replay(ctx, after, through)
		if err == nil || !errors.Is(err, ErrUnavailable) || !sleep(ctx, pause/2+jitter.N(pause/2)) {
			return frames, err
		}
	}
}
