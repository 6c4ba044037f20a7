package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/tier"
)

// membershipDrivers are those of a program whose Memcached pool has its list of servers on a bus of Redis.
var membershipDrivers = config.Drivers{
	Buses: map[string]config.BusOpener{
		"redis": func(ctx context.Context, url string, _ config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
			return redisbus.Open(ctx, url, &redisbus.Options{Options: *o})
		},
	},
	Stores: map[string]backend.Opener{
		"memcached": func(ctx context.Context, url string) (*backend.Store, error) { return memcached.Open(ctx, url, nil) },
	},
	Pools: map[string]config.PoolOpener{
		"memcached": func(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error) {
			return memcached.Open(ctx, url, &memcached.Options{Membership: members})
		},
	},
}

// program is a program with a configuration, and its one cache.
type program struct {
	set   *config.Set
	cache *tier.Cache[string, string]
}

func startProgram(t *testing.T, redis, pool string) program {
	t.Helper()
	set, err := config.Parse(t.Context(), []byte(`
buses: {main: "${REDIS}"}
remotes: {pool: {url: "${POOL}", membership: main}}
caches: {c: {remote: pool, bus: main, max_staleness: 1s}}
`), []string{"REDIS=" + redis, "POOL=" + pool}, membershipDrivers)
	must(t, err)
	t.Cleanup(func() { must(t, set.Close()) })
	c, err := config.Cache[string, string](set, "c")
	must(t, err)
	return program{set, c}
}

func (p program) servers(t *testing.T) []string {
	t.Helper()
	names, err := memcached.Servers(t.Context(), p.set.Remote("pool"))
	if err != nil {
		return []string{err.Error()}
	}
	return names
}

// setAll sets keys through one program, and expects another to read them.
func setAll(t *testing.T, writer, reader program, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 50 {
		key := fmt.Sprint("key", i)
		must(t, writer.cache.Set(ctx, key, value+key))
		eventually(t, "the value of "+key, func() bool {
			v, err := reader.cache.Get(ctx, key)
			return err == nil && v == value+key
		})
	}
}

// items is how many values a server holds.
func items(t *testing.T, s *server.Server) int {
	t.Helper()
	store, err := memcached.Open(t.Context(), s.URL(), nil)
	must(t, err)
	defer store.Close()
	all, err := store.Stats(t.Context())
	must(t, err)
	n := 0
	for _, stats := range all {
		_, err := fmt.Sscan(stats["curr_items"], &n)
		must(t, err)
	}
	return n
}

// A pool that is configured to have its membership on a bus grows under running programs, and keeps its list when the server
// of the bus loses everything.
func TestAConfiguredPoolGrowsAndKeepsItsMembership(t *testing.T) {
	t.Parallel()
	redis := servertest.Redis(t)
	one, two := servertest.Memcached(t), servertest.Memcached(t)
	host := func(s *server.Server) string { return strings.TrimPrefix(s.URL(), "memcached://") }
	both := []string{host(one), host(two)}
	slices.Sort(both)

	a, b := startProgram(t, redis.URL(), one.URL()), startProgram(t, redis.URL(), one.URL())
	setAll(t, a, b, "before ")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, memcached.SetServers(ctx, a.set.Remote("pool"), both...))
	eventually(t, "both servers at the other program", func() bool { return slices.Equal(b.servers(t), both) })
	setAll(t, b, a, "after ")
	if n := items(t, two); n < 10 {
		t.Errorf("the second server holds %d values of 50", n)
	}

	conn, err := redisconn.Open(redis.URL(), nil)
	must(t, err)
	defer conn.Close()
	node, err := conn.Primary(ctx, "any")
	must(t, err)
	must(t, node.Client().FlushAll(ctx).Err())
	eventually(t, "the membership put back", func() bool {
		n, err := node.Client().HLen(ctx, "{strata:bus}:log").Result()
		return err == nil && n > 2 // more than the log's own
	})
	c := startProgram(t, redis.URL(), one.URL()) // whose URL is that of the beginning
	eventually(t, "both servers at a new program", func() bool { return slices.Equal(c.servers(t), both) })
	setAll(t, c, b, "at last ")
}
