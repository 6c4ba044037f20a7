package simulation

import (
	"context"

	"github.com/strata-cache/strata/invalidation"
)

// An ear is what lies between a life and the bus.
type ear struct {
	life  *life
	inner invalidation.Transport

	// Guarded by world.mu: what befalls the next frames.
	drop, swap, repeat int

	next []invalidation.Delivery // for Receive alone: to be given before anything else
}

var (
	_ invalidation.Transport = (*ear)(nil)
	_ invalidation.Replayer  = (*ear)(nil)
)

func (e *ear) Publish(ctx context.Context, frames [][]byte) (invalidation.Position, error) {
	salt := mix(21, uint64(len(frames)), uint64(kindOf(frames[0])))
	return ask(ctx, e.life, bus, "publish", salt, func() (invalidation.Position, error) {
		p, err := e.inner.Publish(context.Background(), frames)
		if err == nil && kindOf(frames[0]) != heartbeat {
			e.life.log("announces %d", p.N)
		}
		return p, err
	})
}

func (e *ear) Hint(ctx context.Context, frame []byte) error {
	_, err := ask(ctx, e.life, bus, "hint", mix(22, uint64(len(frame))), func() (bool, error) {
		return true, e.inner.Hint(context.Background(), frame)
	})
	return err
}

func (e *ear) Replay(ctx context.Context, after invalidation.Position, through uint64) ([][]byte, error) {
	return ask(ctx, e.life, bus, "replay", 23, func() ([][]byte, error) {
		return e.inner.(invalidation.Replayer).Replay(context.Background(), after, through)
	})
}

func (e *ear) Receive(ctx context.Context) (invalidation.Delivery, error) {
	l, w := e.life, e.life.w
	if len(e.next) > 0 {
		d := e.next[0]
		e.next = e.next[1:]
		return d, nil
	}
	for {
		d, err := e.inner.Receive(ctx)
		if err != nil {
			return d, err
		}
		sleep(ctx, w.usual(ms(1)/4, ms(3), mix(l.salt, 24)))
		if err := l.hold(); err != nil {
			return d, err
		}
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		if e.lost(d) {
			continue
		}
		w.mu.Lock()
		twice, swapped := e.repeat > 0 && d.Kind == invalidation.Frame, e.swap > 0 && d.Kind == invalidation.Frame
		if twice {
			e.repeat--
		}
		if swapped {
			e.swap--
		}
		w.mu.Unlock()
		switch {
		case twice:
			l.log("hears %d TWICE", d.Position.N)
			e.next = append(e.next, d)
		case swapped:
			second, err := e.inner.Receive(ctx)
			if err != nil {
				return d, nil
			}
			if second.Kind == invalidation.Frame {
				l.log("hears %d BEFORE %d", second.Position.N, d.Position.N)
				e.next = append(e.next, d)
				d = second
			} else {
				e.next = append(e.next, second)
			}
		}
		return d, nil
	}
}

// kindOf tells whether a frame is an announcement or a heartbeat; before that it tells how long its signature is. How long the frame
// is may depend on a race: the first heartbeat of a bus may know of the cache that attaches, or not.
func kindOf(frame []byte) byte {
	const signed = 2 + 1 + 1 + 16
	return frame[signed+1+int(frame[signed])]
}

const heartbeat = 2

// lost reports whether d does not arrive.
func (e *ear) lost(d invalidation.Delivery) bool {
	l, w := e.life, e.life.w
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := l.node.hole > w.now() || l.node.cut[bus] > w.now() || w.down[bus] > w.now()
	if !gone && e.drop > 0 && d.Kind == invalidation.Frame {
		e.drop--
		gone = true
	}
	if gone {
		w.logLocked("N%d bus frame %d is LOST", l.node.id, d.Position.N)
	}
	return gone
}

func (e *ear) Reconnect() { e.inner.Reconnect() }

func (e *ear) Close() error { return e.inner.Close() }
