package coherence

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/strata-cache/strata/internal/server"
)

// The products that a check can start.
const (
	redis     = "redis"
	memcached = "memcached"
	hazelcast = "hazelcast"
)

// A site is a server with what takes its place when it fails. Its nodes reach it through proxies.
type site struct {
	role    string // of its faults' names: server, or backend-server and bus-server
	product string
	rawURL  string
	own     bool

	group *server.SentinelGroup // Redis with a replica; nil: srv

	mu  sync.Mutex
	srv *server.Server // that clients are to be led to; guarded by mu
}

// memcachedMB is how many megabytes a memcached may hold: little, so that it evicts when a fault fills it.
const memcachedMB = 8

// patient is how long Sentinels wait for a silent primary while no failover is wanted: longer than one is paused, or away.
const patient = 5 * time.Second

// openSite makes a site of a product's name, whose server is then started, or of the URL of one that somebody else runs.
func openSite(ctx context.Context, role, what string, failover bool) (*site, error) {
	if !strings.Contains(what, "://") {
		return startSite(ctx, role, what, failover)
	}
	u, err := url.Parse(what)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: malformed URL (not shown, it may hold a password)", ErrConfig)
	}
	if strings.Contains(u.Host, ",") || strings.Contains(u.Scheme, "-") {
		return nil, fmt.Errorf("%w: %s://%s: each node is led to one server through a proxy: give the URL of one server", ErrConfig, u.Scheme, u.Host)
	}
	srv, err := server.Attach(what)
	if err != nil {
		return nil, err
	}
	return &site{role: role, product: productOf(u.Scheme), rawURL: what, srv: srv}, nil
}

func startSite(ctx context.Context, role, product string, failover bool) (s *site, err error) {
	s = &site{role: role, product: product, own: true}
	switch product {
	case redis:
		o := server.RedisOptions{KeepFolder: true}
		if failover {
			// As docs/redis.md wants it: a primary without a replica takes no writes that could be lost with it.
			o.Args = []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"}
			if s.group, err = server.Sentinel(ctx, &server.SentinelOptions{Node: o}); err == nil {
				s.srv, err = s.group.Primary(ctx)
				err = errors.Join(err, s.downAfter(ctx, patient))
			}
		} else {
			s.srv, err = server.Redis(ctx, &o)
		}
	case memcached:
		s.srv, err = server.Memcached(ctx, &server.MemcachedOptions{MemoryMB: memcachedMB})
	case hazelcast:
		s.srv, err = startHazelcast(ctx)
	default:
		return nil, fmt.Errorf("%w: %q is neither a URL nor one of %s, %s and %s", ErrConfig, product, redis, memcached, hazelcast)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.rawURL = s.srv.URL()
	return s, nil
}

// startHazelcast starts a member that tells clients an address at which nobody is, so that they stay with the proxy that
// they know.
func startHazelcast(ctx context.Context) (*server.Server, error) {
	port, err := server.FreePort()
	if err != nil {
		return nil, err
	}
	clients, err := server.FreePort()
	if err != nil {
		return nil, err
	}
	return server.Hazelcast(ctx, &server.HazelcastOptions{Port: port, ClientPort: clients, PublicAddress: "127.0.0.1:1"})
}

// productOf is the product that a URL's scheme belongs to.
func productOf(scheme string) string {
	for _, p := range []string{redis, memcached, hazelcast} {
		if strings.HasPrefix(scheme, p) {
			return p
		}
	}
	return scheme
}

// server returns the one that clients are led to.
func (s *site) server() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// addr is where that is found.
func (s *site) addr() string {
	if u, err := url.Parse(s.server().URL()); err == nil {
		return u.Host // of Hazelcast, not the address of the members
	}
	return s.server().Addr()
}

// through is the URL of the server, led through a proxy.
func (s *site) through(proxy string) (string, error) {
	u, err := url.Parse(s.rawURL)
	if err != nil {
		return "", errors.New("coherence: malformed URL")
	}
	u.Host = proxy
	q := u.Query()
	if !q.Has("timeout") {
		q.Set("timeout", callTimeout.String())
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// follow finds out which server clients are to be led to, and reports whether that is another one.
func (s *site) follow(ctx context.Context) (changed bool) {
	if s.group == nil {
		return false
	}
	p, err := s.group.Primary(ctx)
	if err != nil {
		return false // nobody knows at present
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.srv != p
	s.srv = p
	return changed
}

// restart starts the server again: empty, or with a snapshot.
func (s *site) restart(ctx context.Context, srv *server.Server, snapshot string) error {
	if s.product == redis {
		file := filepath.Join(srv.Dir(), snapshotFile)
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if snapshot != "" {
			b, err := os.ReadFile(snapshot)
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				return err
			}
		}
	}
	return srv.Restart(ctx)
}

// describe is for reports.
func (s *site) describe() string {
	switch {
	case !s.own:
		return s.product + " (not started here)"
	case s.group != nil:
		return s.product + " with a replica and 3 Sentinels"
	}
	return s.product
}

func (s *site) Close() error {
	switch {
	case s.group != nil:
		return s.group.Close()
	case s.srv != nil && s.own:
		return s.srv.Close()
	}
	return nil
}
