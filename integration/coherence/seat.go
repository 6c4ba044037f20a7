package coherence

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
	"github.com/strata-cache/strata/internal/fault/wire"
)

// A link is what is between one node and one server.
type link struct {
	site  *site
	proxy *wire.Proxy
}

// A seat is the place of a node, which one process after the other may take.
type seat struct {
	number  int
	config  node.Config
	backend *link
	bus     *link      // nil: the bus uses the connections of the backend
	busy    sync.Mutex // something is being done to the node

	mu   sync.Mutex
	peer *peer // guarded by mu
}

func (s *seat) get() *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

// links are those that there are.
func (s *seat) links() []*link {
	if s.bus == nil {
		return []*link{s.backend}
	}
	return []*link{s.backend, s.bus}
}

func newLink(s *site) (*link, error) {
	p, err := wire.New(s.addr())
	if err != nil {
		return nil, err
	}
	return &link{site: s, proxy: p}, nil
}

// newSeat makes a place with its proxies. Where one server is backend and bus, every other node uses one client for both.
func (r *run) newSeat(number int) (*seat, error) {
	s := &seat{number: number}
	shared := r.bus == r.backend && number%2 == 0 && !r.apart
	var err error
	if s.backend, err = newLink(r.backend); err != nil {
		return nil, err
	}
	r.closers = append(r.closers, s.backend.proxy.Close)
	end := s.backend
	if !shared {
		if s.bus, err = newLink(r.bus); err != nil {
			return nil, err
		}
		r.closers = append(r.closers, s.bus.proxy.Close)
		end = s.bus
	}
	s.config = node.Config{
		Process: history.Process{Node: number}, Nodes: r.Nodes, Shared: shared, Source: r.source.addr(), Name: "strata-check",
		Run: r.id, MaxStaleness: r.MaxStaleness, Plain: r.plain, Traffic: r.Traffic,
	}
	if s.config.Backend, err = r.backend.through(s.backend.proxy.Addr()); err != nil {
		return nil, err
	}
	s.config.Bus, err = r.bus.through(end.proxy.Addr())
	return s, err
}

// seatPeer starts a process for the seat.
func (r *run) seatPeer(ctx context.Context, s *seat) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := r.Command()
	cmd.Stderr = r.errors
	p, err := startPeer(ctx, cmd, &s.config, r.heard)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = p
	return nil
}

// revive puts another process in the place of one that died, and lets it work.
func (r *run) revive(ctx context.Context, s *seat) error {
	s.config.Life++
	if err := r.seatPeer(ctx, s); err != nil {
		return err
	}
	_, err := s.get().ask(ctx, node.Request{Begin: true})
	return err
}

// lead leads clients to the server that leads now.
func (r *run) lead(ctx context.Context, s *site) {
	if !s.follow(ctx) {
		return
	}
	for _, seat := range r.seats {
		for _, l := range seat.links() {
			if l.site == s {
				l.proxy.SetTarget(s.addr())
				l.proxy.Cut()
			}
		}
	}
}

// awaitTrust waits until all caches may use their local tier.
func (r *run) awaitTrust(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, s := range r.seats {
		for {
			m, err := s.get().ask(ctx, node.Request{State: true})
			if err != nil {
				return fmt.Errorf("%v: %w", s.config.Process, err)
			}
			if m.State.Stats.Trusted {
				break
			}
			sleep(ctx, 10*time.Millisecond)
		}
	}
	return nil
}
