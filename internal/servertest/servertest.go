package servertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/server"
)

// EnvRequire names the environment variable that, set to 1, turns the skipping of tests for missing servers into
// failures: a green run must mean that they ran.
const EnvRequire = "STRATA_REQUIRE_SERVERS"

// Redis starts a Redis server for this test alone. At most one options value may be given.
func Redis(t testing.TB, opts ...*server.RedisOptions) *server.Server {
	t.Helper()
	return own(t, opts, server.Redis)
}

// Memcached starts a Memcached server for this test alone. At most one options value may be given.
func Memcached(t testing.TB, opts ...*server.MemcachedOptions) *server.Server {
	t.Helper()
	return own(t, opts, server.Memcached)
}

// Hazelcast starts a Hazelcast member for this test alone, which takes seconds: prefer SharedHazelcast where the test
// does not change the member. At most one options value may be given.
func Hazelcast(t testing.TB, opts ...*server.HazelcastOptions) *server.Server {
	t.Helper()
	return own(t, opts, server.Hazelcast)
}

// Postgres starts a PostgreSQL server for this test alone, which takes a second or two. At most one options value may be given.
func Postgres(t testing.TB, opts ...*server.PostgresOptions) *server.Server {
	t.Helper()
	return own(t, opts, server.Postgres)
}

// MariaDB starts a MariaDB server for this test alone, which takes a second. At most one options value may be given.
func MariaDB(t testing.TB, opts ...*server.MariaDBOptions) *server.Server {
	t.Helper()
	return own(t, opts, server.MariaDB)
}

// Sentinel starts a Redis primary, its replicas and their Sentinels for this test alone, which takes about a second. At
// most one options value may be given.
func Sentinel(t testing.TB, opts ...*server.SentinelOptions) *server.SentinelGroup {
	t.Helper()
	return own(t, opts, server.Sentinel)
}

// RedisCluster starts a Redis Cluster for this test alone, which takes two seconds or more. At most one options value may
// be given.
func RedisCluster(t testing.TB, opts ...*server.ClusterOptions) *server.Cluster {
	t.Helper()
	return own(t, opts, server.RedisCluster)
}

// HazelcastCluster starts n Hazelcast members for this test alone, that all know each other.
func HazelcastCluster(t testing.TB, n int, opts ...*server.HazelcastOptions) []*server.Server {
	t.Helper()
	members, err := server.HazelcastCluster(context.Background(), n, first(t, opts))
	Require(t, err)
	t.Cleanup(func() {
		for _, m := range members {
			closeFor(t, m)
		}
	})
	return members
}

// Require ends the test when err is not nil. A missing server skips it, unless servers are required.
func Require(t testing.TB, err error) {
	t.Helper()
	var missing *server.MissingError
	switch {
	case err == nil:
	case os.Getenv(EnvRequire) == "1":
		t.Fatalf("servers are required here (%s=1): %v", EnvRequire, err)
	case errors.As(err, &missing):
		t.Skipf("%s is not installed; run %s", missing.Name, missing.Install())
	case errors.Is(err, errors.ErrUnsupported):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// Key returns a prefix for the keys of this test that no other test, process or run uses: the test's name and a random
// part. It has letters, digits, '_' and '-' only and at most 64 bytes, which every server takes.
func Key(t testing.TB) string {
	t.Helper()
	const most = 64 - len("-0123456789abcdef-")
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '-'
	}, t.Name())
	if len(name) > most {
		name = name[len(name)-most:] // the end of the name tells subtests apart
	}
	var random [8]byte
	rand.Read(random[:]) // never fails
	return name + "-" + hex.EncodeToString(random[:]) + "-"
}

func own[O any, S io.Closer](t testing.TB, opts []*O, start func(context.Context, *O) (S, error)) S {
	t.Helper()
	// Not the test's context: it ends before the cleanups, and it is the start alone that a context bounds.
	s, err := start(context.Background(), first(t, opts))
	Require(t, err)
	t.Cleanup(func() { closeFor(t, s) })
	return s
}

func first[O any](t testing.TB, opts []*O) *O {
	t.Helper()
	switch len(opts) {
	case 0:
		return nil
	case 1:
		return opts[0]
	}
	t.Fatal("servertest: more than one options value")
	return nil
}

func closeFor(t testing.TB, s io.Closer) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close server: %v", err)
	}
}
