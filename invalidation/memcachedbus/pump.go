package memcachedbus

import (
	"errors"
	"fmt"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// lastPause is the longest pause between two looks while the server does not answer.
const lastPause = time.Second

// A pump is the goroutine that turns sights of the log into deliveries. It reads on from the position that it delivered last.
type pump struct {
	*transport
	of   invalidation.Incarnation // of the subscription; none before the first
	at   uint64                   // position of the last frame delivered
	ring [16]byte                 // of the hints seen last, with their number
	hint uint64
	ears bool // a sight was taken: hints that come are new ones
}

func (p *pump) run() {
	pause := p.poll
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
			err = p.look(p.ctx)
		case <-p.news:
			if p.renewed.Swap(false) {
				p.of = invalidation.Incarnation{}
				err = p.look(p.ctx)
			}
		}
		if s := p.newest(); s != nil && err == nil {
			err = p.take(s)
		}
		if err != nil && p.ctx.Err() == nil {
			p.inbox.Fail(err)
			pause = min(2*pause, max(lastPause, p.poll))
		} else {
			pause = p.poll
		}
		timer.Reset(pause)
	}
}

// take delivers what is new in a sight.
func (p *pump) take(s *sight) error {
	l := s.log
	if l.of != p.of || l.head < p.at {
		p.subscribe(l)
	}
	frames, err := p.framesOf(p.ctx, l, p.at, l.head)
	switch {
	case errors.Is(err, invalidation.ErrGone):
		p.subscribe(l) // this node was away for too long
	case err != nil:
		return fmt.Errorf("memcachedbus: receive: %w", err) // the position is kept: a later sight has more
	}
	for _, frame := range frames {
		p.at++
		p.inbox.Deliver(invalidation.Delivery{
			Kind: invalidation.Frame, Position: invalidation.Position{Incarnation: p.of, N: p.at}, Frame: frame,
		})
	}
	p.hear(s.hints)
	return nil
}

// subscribe begins anew at the head of a log.
func (p *pump) subscribe(l *log) {
	p.of, p.at = l.of, l.head
	p.inbox.Deliver(invalidation.Delivery{Kind: invalidation.Subscribed, Position: l.position()})
}

// hear delivers hints that were not there before, as long as there is room.
func (p *pump) hear(h *hints) {
	known := p.ears
	p.ears = true
	if h == nil {
		return
	}
	if h.ring != p.ring {
		p.ring, p.hint = h.ring, h.last-uint64(len(h.frames))
		if !known {
			p.hint = h.last // they are older than this node
		}
	}
	for i, frame := range h.frames {
		if h.last-uint64(len(h.frames)-1-i) <= p.hint {
			continue
		}
		p.inbox.Hint(frame)
	}
	p.hint = h.last
}
