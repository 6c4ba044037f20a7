package hazelcastconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/cluster"
	"github.com/hazelcast/hazelcast-go-client/cluster/discovery"
	"github.com/hazelcast/hazelcast-go-client/types"

	"github.com/strata-cache/strata/internal/hazelcastconn/relay"
)

const (
	firstPause   = 50 * time.Millisecond // between attempts to connect, doubled
	longestPause = time.Second
	longestAfter = time.Minute      // the pause after clients that did not start: each one leaks
	firstStart   = 10 * time.Second // how long the start of a client may take, doubled: each failed one leaks (see doc.go)
	longestStart = time.Hour
	shutdownIn   = 2 * time.Second // it takes milliseconds, or for ever (see doc.go)

	heartbeatInterval = time.Second
	heartbeatTimeout  = 5 * time.Second
	silence           = 3 * time.Second // longer than the heartbeat's interval
)

// A session is one client behind its relay, from its start to the loss of its last connection.
type session struct {
	relay   *relay.Relay
	client  *hazelcast.Client
	entries *hazelcast.Map
	members *members
	gone    chan struct{} // closed when the client lost its last connection or was shut down
	shut    chan struct{} // closed when the client has shut down
}

// supervise keeps a session until ctx ends.
func (c *Conn) supervise(ctx context.Context) {
	defer close(c.joined)
	pause, after, limit := firstPause, firstPause, firstStart
	var known []string // addresses of the last session's members: those of the URL may all have been replaced
	for ctx.Err() == nil {
		s, err := c.connect(ctx, known, limit)
		if err != nil {
			c.publish(nil, err)
			if errors.Is(err, errStart) {
				sleep(ctx, after/2+rand.N(after/2))
				after, limit = min(2*after, longestAfter), min(2*limit, longestStart)
			} else {
				sleep(ctx, pause/2+rand.N(pause/2))
				pause = min(2*pause, longestPause)
			}
			continue
		}
		began := time.Now()
		c.publish(s, nil)
		select {
		case <-s.gone:
		case <-ctx.Done():
		}
		known = known[:0]
		for _, m := range s.members.list() {
			known = append(known, m.Address)
		}
		lost := errors.New("the connection was lost")
		if why := s.relay.Failure(time.Now().Add(-c.Timeout())); why != nil {
			lost = fmt.Errorf("the connection was lost: %w", why)
		}
		c.publish(nil, lost)
		s.close()
		after, limit = firstPause, firstStart
		if time.Since(began) > longestPause {
			pause = firstPause
			continue
		}
		sleep(ctx, pause/2+rand.N(pause/2)) // a start costs more than it was worth
		pause = min(2*pause, longestPause)
	}
}

var errStart = errors.New("the client did not start")

// connect starts a client once one of the members lets us in.
func (c *Conn) connect(ctx context.Context, known []string, limit time.Duration) (*session, error) {
	opts := c.relayOptions()
	seeds, err := welcoming(ctx, c.target.addrs, known, opts)
	if err != nil {
		return nil, err
	}
	opts.Seeds = seeds
	r, err := relay.New(opts)
	if err != nil {
		return nil, err
	}
	s, err := c.start(ctx, r, limit)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return s, nil
}

func (c *Conn) start(ctx context.Context, r *relay.Relay, limit time.Duration) (*session, error) {
	c.log.forget()
	began := time.Now()
	s := &session{relay: r, members: &members{}, gone: make(chan struct{}), shut: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	started := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { // ends with this call
		select {
		case <-s.gone: // the library would wait two minutes for the list of members
			cancel()
		case <-started:
		}
	})
	var err error
	s.client, err = hazelcast.StartNewClientWithConfig(ctx, c.config(s))
	close(started)
	watch.Wait()
	if err != nil {
		if cause := cmp.Or(r.Failure(began), c.log.lastFailure()); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("%w: %w", errStart, err)
	}
	create, cancelCreate := context.WithTimeout(ctx, max(c.Timeout(), heartbeatTimeout))
	defer cancelCreate()
	if s.entries, err = s.client.GetMap(create, c.target.opts.Map); err != nil {
		s.close()
		return nil, fmt.Errorf("map %s: %w", c.target.opts.Map, err)
	}
	return s, nil
}

// preference is how long an address of the URL may answer later than one that was learned, and still be taken.
const preference = 200 * time.Millisecond

// welcoming returns the addresses, those of members that let the client in first and those of the URL before others, or why
// none does. It does not wait for all: a member tells of the others.
func welcoming(ctx context.Context, given, known []string, o *relay.Options) ([]string, error) {
	addrs := slices.Clone(given)
	for _, a := range known {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	failures := make([]error, len(addrs))
	var probes sync.WaitGroup
	for i, addr := range addrs {
		probes.Go(func() { // ends by o.Dial and o.Greet, or ctx
			failures[i] = relay.Probe(ctx, o, addr)
			switch {
			case failures[i] != nil:
			case i < len(given):
				enough()
			default:
				sleep(ctx, preference)
				enough()
			}
		})
	}
	probes.Wait()
	var up, down []string
	for i, addr := range addrs {
		if failures[i] == nil {
			up = append(up, addr)
		} else {
			down = append(down, addr)
		}
	}
	if len(up) == 0 {
		return nil, errors.Join(failures...)
	}
	return append(up, down...), nil
}

func (c *Conn) relayOptions() *relay.Options {
	o := &c.target.opts
	return &relay.Options{
		Cluster:  o.Cluster,
		Username: o.Username,
		Password: o.Password,
		Map:      o.Map,
		TLS:      o.TLS,
		Dial:     max(o.Timeout, time.Second),
		Greet:    max(o.Timeout, 2*time.Second),
		Stall:    heartbeatTimeout,
		Silence:  max(o.Timeout, silence),
		MaxReply: o.MaxReply,
		OnMember: c.hooks.member,
	}
}

func (c *Conn) config(s *session) hazelcast.Config {
	var config hazelcast.Config
	config.ClientName = "strata"
	config.Labels = []string{s.relay.Secret()}
	config.Logger.CustomLogger = c.log
	config.Cluster.Name = c.target.opts.Cluster
	config.Cluster.Security.Credentials.Username = c.target.opts.Username
	config.Cluster.Security.Credentials.Password = c.target.opts.Password
	config.Cluster.Discovery = cluster.DiscoveryConfig{Strategy: relayed{s.relay}, UsePublicIP: true}
	config.Cluster.Network.ConnectionTimeout = types.Duration(max(c.Timeout(), time.Second))
	config.Cluster.ConnectionStrategy.ReconnectMode = cluster.ReconnectModeOff
	config.Cluster.ConnectionStrategy.Retry.InitialBackoff = types.Duration(100 * time.Millisecond)
	config.Cluster.ConnectionStrategy.Retry.MaxBackoff = types.Duration(time.Second)
	config.Cluster.HeartbeatInterval = types.Duration(heartbeatInterval)
	config.Cluster.HeartbeatTimeout = types.Duration(heartbeatTimeout)
	// The library retries an invocation only while it is younger than this: never. See doc.go.
	config.Cluster.InvocationTimeout = types.Duration(1)

	var gone, shut sync.Once
	config.AddLifecycleListener(func(e hazelcast.LifecycleStateChanged) {
		switch e.State {
		case hazelcast.LifecycleStateDisconnected:
			gone.Do(func() { close(s.gone) })
		case hazelcast.LifecycleStateShutDown:
			gone.Do(func() { close(s.gone) })
			shut.Do(func() { close(s.shut) })
		}
	})
	config.AddMembershipListener(s.members.change)
	return config
}

// relayed makes the library dial the relay in the place of each member.
type relayed struct{ *relay.Relay }

// DiscoverNodes implements discovery.Strategy.
func (r relayed) DiscoverNodes(context.Context) ([]discovery.Node, error) {
	nodes := r.Nodes()
	found := make([]discovery.Node, len(nodes))
	for i, n := range nodes {
		found[i] = discovery.Node{PublicAddr: n.Relay, PrivateAddr: n.Member}
	}
	return found, nil
}

// close shuts the client down and waits until it has, and the relay after it.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownIn)
	defer cancel()
	_ = s.client.Shutdown(ctx) // fails only when ctx ends; nil at once if the client does it by itself
	select {
	case <-s.shut:
	case <-ctx.Done():
	}
	_ = s.relay.Close() // never fails
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A Member is a server of the cluster.
type Member struct {
	Address string // host:port
	UUID    string // another one after each start
	Version string
}

// members follows the membership of a cluster.
type members struct {
	mu     sync.Mutex
	byUUID map[string]Member // guarded by mu
}

func (m *members) change(e cluster.MembershipStateChanged) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := e.Member.UUID.String()
	switch e.State {
	case cluster.MembershipStateAdded:
		if m.byUUID == nil {
			m.byUUID = make(map[string]Member)
		}
		m.byUUID[id] = Member{Address: e.Member.Address.String(), UUID: id, Version: e.Member.Version.String()}
	case cluster.MembershipStateRemoved:
		delete(m.byUUID, id)
	}
}

func (m *members) list() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Member, 0, len(m.byUUID))
	for _, member := range m.byUUID {
		list = append(list, member)
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Address, b.Address) })
	return list
}
