package servertest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/strata-cache/strata/internal/server"
)

// EnvHazelcast names the environment variable with the URL of a running Hazelcast member that SharedHazelcast uses.
const EnvHazelcast = "STRATA_HAZELCAST_URL"

// shared is a server that is started by the first test that asks for it and stopped by Main. A failed start is
// remembered: each further test reports it at once.
type shared struct {
	start func(context.Context) (*server.Server, error)

	// mu guards server and err; it is held across the start, so that all tests wait for the one server.
	mu     sync.Mutex
	server *server.Server
	err    error
}

// These are package-level state against the house style, because what they share is per process by its nature.
var (
	sharedRedis     = &shared{start: func(ctx context.Context) (*server.Server, error) { return server.Redis(ctx, nil) }}
	sharedMemcached = &shared{start: func(ctx context.Context) (*server.Server, error) { return server.Memcached(ctx, nil) }}
	sharedHazelcast = &shared{start: func(ctx context.Context) (*server.Server, error) {
		if url := os.Getenv(EnvHazelcast); url != "" {
			return server.Attach(url)
		}
		return server.Hazelcast(ctx, nil)
	}}
)

// SharedRedis returns the Redis server of this test process. Tests must neither stop nor flush it, and use keys that
// begin with Key.
func SharedRedis(t testing.TB) *server.Server {
	t.Helper()
	return sharedRedis.get(t)
}

// SharedMemcached returns the Memcached server of this test process. Tests must neither stop nor flush it, and use keys
// that begin with Key.
func SharedMemcached(t testing.TB) *server.Server {
	t.Helper()
	return sharedMemcached.get(t)
}

// SharedHazelcast returns the Hazelcast member of this run: the one that STRATA_HAZELCAST_URL names, which cannot be
// stopped from here, else one of this test process. Other packages may use it at the same time, so the names of maps
// must begin with Key.
func SharedHazelcast(t testing.TB) *server.Server {
	t.Helper()
	return sharedHazelcast.get(t)
}

func (s *shared) get(t testing.TB) *server.Server {
	t.Helper()
	s.mu.Lock()
	if s.server == nil && s.err == nil {
		s.server, s.err = s.start(context.Background())
	}
	got, err := s.server, s.err
	s.mu.Unlock()
	Require(t, err) // outside of the lock: it ends the test's goroutine
	return got
}

// stop closes the server, if one was started.
func (s *shared) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

func stopShared() error {
	return errors.Join(sharedRedis.stop(), sharedMemcached.stop(), sharedHazelcast.stop())
}
