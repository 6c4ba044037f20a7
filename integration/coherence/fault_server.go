package coherence

import (
	"context"
	"errors"
	"time"
)

// faults are what can happen to the server of a site.
func (s *site) faults() []fault {
	lane := s.role
	var list []fault
	if s.own {
		list = append(list,
			fault{name: "pause-" + s.role, about: "the server is stopped (SIGSTOP) and goes on later", lane: lane, lasts: 5 * p1 / 4, play: s.pause},
			fault{name: "kill-" + s.role, about: "the server is killed (SIGKILL) and comes back empty", lane: lane, lasts: p1 + s.startTime(), play: s.kill},
			fault{name: "restart-" + s.role, about: "the server is restarted at once, and has lost its data", lane: lane, lasts: p1/4 + s.startTime(), play: s.lose},
		)
	}
	switch s.product {
	case redis:
		list = append(list, s.redisFaults()...)
	case memcached:
		list = append(list, s.memcachedFaults()...)
	case hazelcast:
		list = append(list, s.hazelcastFaults()...)
	}
	return list
}

// startTime is about how long a start takes.
func (s *site) startTime() time.Duration {
	if s.product == hazelcast {
		return 7 * time.Second
	}
	return p1 / 4
}

func (s *site) pause(ctx context.Context, p *playing) error {
	srv := s.server()
	p.begin("%s", srv.Addr())
	if err := srv.Pause(); err != nil {
		return err
	}
	p.hold(ctx, p1/4, 9*p1/4)
	return errors.Join(srv.Resume(), p.settled(ctx, s))
}

func (s *site) kill(ctx context.Context, p *playing) error {
	srv := s.server()
	p.begin("%s", srv.Addr())
	if err := srv.Kill(); err != nil {
		return err
	}
	p.hold(ctx, 0, p1)
	return errors.Join(s.restart(context.WithoutCancel(ctx), srv, ""), p.settled(ctx, s))
}

func (s *site) lose(ctx context.Context, p *playing) error {
	srv := s.server()
	p.begin("%s", srv.Addr())
	return errors.Join(s.restart(context.WithoutCancel(ctx), srv, ""), p.settled(ctx, s))
}

// settled waits until a server with replicas is whole again, and clients are led to the one that leads.
func (p *playing) settled(ctx context.Context, s *site) error {
	if s.group == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.group.AwaitReady(ctx); err != nil {
		return err
	}
	p.lead(ctx, s)
	return nil
}
