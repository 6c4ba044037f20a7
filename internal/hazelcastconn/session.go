package hazelcastconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/cluster"
	"github.com/hazelcast/hazelcast-go-client/types"
)

const (
	firstPause   = 50 * time.Millisecond // between attempts to connect, doubled
	longestPause = time.Second
	longestAfter = time.Minute // the pause after clients that did not start: each one leaks
	firstStart   = time.Minute // how long the start of a client may take, doubled: each failed one leaks (see doc.go)
	longestStart = time.Hour
	shutdownIn   = 2 * time.Second // it takes milliseconds, or for ever (see doc.go)

	heartbeatInterval = 2 * time.Second
	heartbeatTimeout  = 10 * time.Second
)

// A session is one client, from its start to the loss of its last connection.
type session struct {
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
		c.publish(s, nil)
		select {
		case <-s.gone:
		case <-ctx.Done():
		}
		known = known[:0]
		for _, m := range s.members.list() {
			known = append(known, m.Address)
		}
		c.publish(nil, errors.New("the connection was lost"))
		s.close()
		pause, after, limit = firstPause, firstPause, firstStart
	}
}

var errStart = errors.New("the client did not start")

// connect starts a client once one of the addresses accepts connections.
func (c *Conn) connect(ctx context.Context, known []string, limit time.Duration) (*session, error) {
	addrs := slices.Clone(c.target.addrs)
	for _, a := range known {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	addrs, err := reachable(ctx, addrs, c.Timeout())
	if err != nil {
		return nil, err
	}
	c.log.forget()
	s := &session{members: &members{}, gone: make(chan struct{}), shut: make(chan struct{})}
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
	s.client, err = hazelcast.StartNewClientWithConfig(ctx, c.config(addrs, s))
	close(started)
	watch.Wait()
	if err != nil {
		if cause := c.log.lastFailure(); cause != nil {
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

// reachable returns the addresses, those that accept connections first, or why none does.
func reachable(ctx context.Context, addrs []string, timeout time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	failures := make([]error, len(addrs))
	var dials sync.WaitGroup
	for i, addr := range addrs {
		dials.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err == nil {
				err = conn.Close()
			}
			failures[i] = err
		})
	}
	dials.Wait()
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

func (c *Conn) config(addrs []string, s *session) hazelcast.Config {
	var config hazelcast.Config
	config.ClientName = "strata"
	config.Logger.CustomLogger = c.log
	config.Cluster.Name = c.target.opts.Cluster
	config.Cluster.Security.Credentials.Username = c.target.opts.Username
	config.Cluster.Security.Credentials.Password = c.target.opts.Password
	config.Cluster.Network.SetAddresses(addrs...)
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

// close shuts the client down and waits until it has.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownIn)
	defer cancel()
	_ = s.client.Shutdown(ctx) // fails only when ctx ends; nil at once if the client does it by itself
	select {
	case <-s.shut:
	case <-ctx.Done():
	}
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
