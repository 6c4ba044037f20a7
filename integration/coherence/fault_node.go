package coherence

import (
	"context"
	"time"
)

// nodeFaults are what can happen to the processes of nodes.
func nodeFaults() []fault {
	any := func(*seat) bool { return true }
	return []fault{
		{
			name: "pause-node", about: "a node is stopped (SIGSTOP) and goes on later", lane: laneNodes, lasts: 3 * p1 / 2,
			play: func(ctx context.Context, p *playing) error {
				s, free := p.lock(ctx, any)
				if s == nil {
					return nil
				}
				defer free()
				peer := s.get()
				p.begin("node %d", s.number+1)
				if err := peer.pause(); err != nil {
					return err
				}
				p.hold(ctx, p1/2, 5*p1/2)
				return peer.resume()
			},
		},
		{
			name: "kill-node", about: "a node is killed (SIGKILL), and another process takes its place", lane: laneNodes, lasts: p1,
			play: func(ctx context.Context, p *playing) error {
				s, free := p.lock(ctx, any)
				if s == nil {
					return nil
				}
				defer free()
				p.begin("node %d", s.number+1)
				p.died(s.get().process)
				s.get().kill()
				p.hold(ctx, 0, p1/2)
				return p.revive(context.WithoutCancel(ctx), s)
			},
		},
	}
}

// lock chooses a node to which nothing else is being done. It is nil if ctx ends before there is one.
func (p *playing) lock(ctx context.Context, fits func(*seat) bool) (s *seat, free func()) {
	for ctx.Err() == nil {
		for _, i := range p.rand.Perm(len(p.seats)) {
			s := p.seats[i]
			if fits(s) && s.busy.TryLock() {
				return s, s.busy.Unlock
			}
		}
		sleep(ctx, 10*time.Millisecond)
	}
	return nil, nil
}
