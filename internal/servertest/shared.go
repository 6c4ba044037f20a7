package servertest

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
)

// EnvHazelcast names the environment variable with the URL of a running Hazelcast member that SharedHazelcast uses.
const EnvHazelcast = "STRATA_HAZELCAST_URL"

// shared is a server that is started by the first test that asks for it and stopped by Main. A failed start is
// remembered: each further test reports it at once.
type shared[S io.Closer] struct {
	start func(context.Context) (S, error)

	// mu guards what follows; it is held across the start, so that all tests wait for the one server.
	mu      sync.Mutex
	started bool // start was called
	server  S
	err     error
}

// These are package-level state against the house style, because what they share is per process by its nature.
var (
	sharedRedis     = share(func(ctx context.Context) (*server.Server, error) { return server.Redis(ctx, nil) })
	sharedSentinel  = share(func(ctx context.Context) (*server.SentinelGroup, error) { return server.Sentinel(ctx, steadySentinel) })
	sharedCluster   = share(func(ctx context.Context) (*server.Cluster, error) { return server.RedisCluster(ctx, steadyCluster) })
	sharedMemcached = share(func(ctx context.Context) (*server.Server, error) { return server.Memcached(ctx, nil) })
	sharedPostgres  = share(func(ctx context.Context) (*server.Server, error) { return server.Postgres(ctx, nil) })
	sharedMariaDB   = share(func(ctx context.Context) (*server.Server, error) { return server.MariaDB(ctx, nil) })
	sharedHazelcast = share(func(ctx context.Context) (*server.Server, error) {
		if url := os.Getenv(EnvHazelcast); url != "" {
			return server.Attach(url)
		}
		return server.Hazelcast(ctx, nil)
	})

	// Shared topologies do not fail over because a busy machine lets a node wait.
	steadySentinel = &server.SentinelOptions{DownAfter: 20 * time.Second}
	steadyCluster  = &server.ClusterOptions{NodeTimeout: 20 * time.Second}
)

// SharedRedis returns the Redis server of this test process. Tests must neither stop nor flush it, and use keys that
// begin with Key.
func SharedRedis(t testing.TB) *server.Server {
	t.Helper()
	return sharedRedis.get(t)
}

// SharedSentinel returns the Redis primary with replica and Sentinels of this test process. Tests must neither stop nor
// flush any of it, and use keys that begin with Key.
func SharedSentinel(t testing.TB) *server.SentinelGroup {
	t.Helper()
	return sharedSentinel.get(t)
}

// SharedRedisCluster returns the Redis Cluster of this test process, three primaries with a replica each. Tests must
// neither stop nor flush any of it, nor move slots, and use keys that begin with Key.
func SharedRedisCluster(t testing.TB) *server.Cluster {
	t.Helper()
	return sharedCluster.get(t)
}

// SharedMemcached returns the Memcached server of this test process. Tests must neither stop nor flush it, and use keys
// that begin with Key.
func SharedMemcached(t testing.TB) *server.Server {
	t.Helper()
	return sharedMemcached.get(t)
}

// SharedPostgres returns the PostgreSQL server of this test process. Tests must not stop it, and use schemas of their own.
func SharedPostgres(t testing.TB) *server.Server {
	t.Helper()
	return sharedPostgres.get(t)
}

// SharedMariaDB returns the MariaDB server of this test process. Tests must not stop it, and use databases of their own.
func SharedMariaDB(t testing.TB) *server.Server {
	t.Helper()
	return sharedMariaDB.get(t)
}

// SharedHazelcast returns the Hazelcast member of this run: the one that STRATA_HAZELCAST_URL names, which cannot be
// stopped from here, else one of this test process. Other packages may use it at the same time, so the names of maps
// must begin with Key.
func SharedHazelcast(t testing.TB) *server.Server {
	t.Helper()
	return sharedHazelcast.get(t)
}

func share[S io.Closer](start func(context.Context) (S, error)) *shared[S] {
	return &shared[S]{start: start}
}

func (s *shared[S]) get(t testing.TB) S {
	t.Helper()
	s.mu.Lock()
	if !s.started {
		s.started = true
		s.server, s.err = s.start(context.Background())
	}
	got, err := s.server, s.err
	s.mu.Unlock()
	Require(t, err) // outside of the lock: it ends the test's goroutine
	return got
}

// stop closes the server, if one was started.
func (s *shared[S]) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || s.err != nil {
		return nil
	}
	return s.server.Close()
}

func stopShared() error {
	return errors.Join(sharedRedis.stop(), sharedSentinel.stop(), sharedCluster.stop(), sharedMemcached.stop(), sharedPostgres.stop(), sharedMariaDB.stop(), sharedHazelcast.stop())
}
