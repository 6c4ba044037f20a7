package coherence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
)

// wireFaults are what can happen to the connections of one node. End is what the other end of them is called.
func wireFaults(end string, link func(*seat) *link) []fault {
	// on makes a fault of what happens to one node's proxy until it is healed.
	on := func(name, about string, low, high time.Duration, do func(p *wire.Proxy, r *rand.Rand) string) fault {
		return fault{
			name: name + "-" + end, about: fmt.Sprintf(about, end), lane: laneNodes, lasts: (low + high) / 2,
			play: func(ctx context.Context, p *playing) error {
				s, free := p.lock(ctx, func(s *seat) bool { return link(s) != nil })
				if s == nil {
					return nil
				}
				defer free()
				l := link(s)
				p.begin("node %d", s.number+1)
				how := do(l.proxy, p.rand)
				if how != "" {
					p.target += " (" + how + ")"
				}
				p.hold(ctx, low, high)
				if how == lost {
					l.proxy.Cut() // what was lost in the middle of a stream cannot be followed by the rest of it
				}
				return l.proxy.Heal()
			},
		}
	}
	blackhole := func(directions ...wire.Direction) func(p *wire.Proxy, r *rand.Rand) string {
		return func(p *wire.Proxy, r *rand.Rand) string {
			if r.IntN(2) == 0 {
				p.Set(wire.Fault{Hang: true}, directions...)
				return late
			}
			p.Set(wire.Fault{Blackhole: true}, directions...)
			return lost
		}
	}
	d := p1 // of what is shorter and what is longer than any sensible bound
	return []fault{
		on("cut", "all connections of a node to the %s are reset, and new ones refused for a moment", 0, 3*d/2, func(p *wire.Proxy, r *rand.Rand) string {
			if r.IntN(3) > 0 {
				p.Refuse()
			}
			p.Cut()
			return ""
		}),
		on("blackhole-to", "what a node sends to the %s does not arrive, or arrives all at once later", d/2, 5*d/2, blackhole(wire.ToServer)),
		on("blackhole-from", "what the %s sends to a node does not arrive, or arrives all at once later", d/2, 5*d/2, blackhole(wire.ToClient)),
		on("delay", "each connection of a node to the %s has a delay of its own, some none", d/2, 3*d/2, func(p *wire.Proxy, r *rand.Rand) string {
			slow, seed := time.Duration(20+r.IntN(180))*time.Millisecond, r.Uint64()
			odd := func(conn int) bool { return (uint64(conn)*0x9e3779b97f4a7c15^seed)>>33&1 == 1 }
			p.Set(wire.Fault{Delay: slow, Only: odd})
			return slow.String()
		}),
		on("flip", "bytes that the %s sends to a node are changed now and then", d/2, d, func(p *wire.Proxy, r *rand.Rand) string {
			p.Set(wire.Fault{Rewrite: wire.Flip(2000)}, wire.ToClient)
			return ""
		}),
	}
}

// How a black hole ends.
const (
	lost = "lost"
	late = "late"
)

// p1 is the measure of how long faults last: the shortest are well within a bound of a second, the longest well beyond.
const p1 = time.Second
