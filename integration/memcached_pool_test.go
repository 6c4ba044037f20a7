package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// startPool starts two caches on a pool of memcached servers that is registered on their bus, and that bus.
func startPool(t *testing.T, openBus func() *invalidation.Bus, lease time.Duration, servers []*server.Server) (*fleetLoad, []*backend.Store) {
	t.Helper()
	url := "memcached://"
	for i, s := range servers {
		if i > 0 {
			url += ","
		}
		url += s.Addr()
	}
	var stores []*backend.Store
	l := startFleetOf(t, 2, 60, func() (*backend.Store, *invalidation.Bus) {
		bus := openBus()
		t.Cleanup(func() { bus.Close() })
		register, err := invalidation.Register(bus, "pool")
		must(t, err)
		store, err := memcached.Open(context.Background(), url, &memcached.Options{Membership: register, Lease: lease})
		must(t, err)
		t.Cleanup(func() { store.Close() })
		stores = append(stores, store)
		return store, bus
	})
	return l, stores
}

func addrsOf(servers []*server.Server) []string {
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

func TestAMemcachedPoolGrowsAndShrinksUnderLoadAndNothingIsStale(t *testing.T) {
	t.Parallel()
	for name, buses := range map[string]func(t *testing.T) func() *invalidation.Bus{
		"registered on Redis": func(t *testing.T) func() *invalidation.Bus {
			srv := servertest.Redis(t)
			return func() *invalidation.Bus {
				bus, err := redisbus.New(openStore(t, srv.URL()), nil)
				must(t, err)
				return bus
			}
		},
		"registered in the process": func(*testing.T) func() *invalidation.Bus {
			hub := membus.NewHub()
			return func() *invalidation.Bus { return membus.Bus(hub, nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := make([]*server.Server, 4)
			for i := range servers {
				servers[i] = servertest.Memcached(t)
			}
			l, stores := startPool(t, buses(t), 30*time.Second, servers[:3])
			l.run(t, loadFor(t, time.Second))
			change := func(what string, s *backend.Store, servers []*server.Server) {
				t.Helper()
				begin := time.Now()
				must(t, memcached.SetServers(t.Context(), s, addrsOf(servers)...))
				t.Logf("%s: %v, then %d errors", what, time.Since(begin).Round(time.Millisecond), len(l.failed(begin)))
				l.run(t, loadFor(t, time.Second))
			}
			change("a fourth server added", stores[0], servers)
			change("the fourth removed", stores[1], servers[:3])
			change("another one removed and the fourth added", stores[1], servers[1:])
			change("all are back", stores[0], servers)
			l.stop()
			l.report(t)
			for i, s := range stores {
				stats, err := s.Stats(t.Context())
				must(t, err)
				if len(stats) != len(servers) {
					t.Errorf("node %d uses %d servers", i, len(stats))
				}
			}
		})
	}
}

func TestAMemcachedServerOfThreeDiesUnderLoadComesBackAndIsReplaced(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	hub := membus.NewHub()
	servers := []*server.Server{
		servertest.Memcached(t), servertest.Memcached(t),
		servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true}), servertest.Memcached(t),
	}
	l, stores := startPool(t, func() *invalidation.Bus { return membus.Bus(hub, nil) }, lease, servers[:3])
	l.run(t, loadFor(t, time.Second))

	// It ends with its memory, and comes back with it as another process, while its keys change.
	must(t, servers[2].Stop())
	l.run(t, loadFor(t, 500*time.Millisecond))
	must(t, servers[2].Restart(t.Context()))
	back := time.Now()
	l.quiet(t)
	t.Logf("after its warm restart the last error was %v after the server answered", lastError(l, back))

	// It dies, and another one takes its place; then it is back as the fourth, with the memory of its first life.
	must(t, servers[2].Stop())
	begin := time.Now()
	must(t, memcached.SetServers(t.Context(), stores[0], addrsOf([]*server.Server{servers[0], servers[1], servers[3]})...))
	replaced := time.Now()
	l.quiet(t)
	t.Logf("replaced in %v, of which the lease is %v; the last error was %v after that", replaced.Sub(begin).Round(time.Millisecond),
		lease, lastError(l, replaced))
	must(t, servers[2].Restart(t.Context()))
	must(t, memcached.SetServers(t.Context(), stores[1], addrsOf(servers)...))
	l.run(t, loadFor(t, time.Second))
	l.stop()
	l.report(t)
}

func TestAMemcachedPoolOutlivesTheRedisThatForgetsIt(t *testing.T) {
	t.Parallel()
	redis := servertest.Redis(t)
	servers := []*server.Server{servertest.Memcached(t), servertest.Memcached(t), servertest.Memcached(t)}
	l, stores := startPool(t, func() *invalidation.Bus {
		bus, err := redisbus.New(openStore(t, redis.URL()), nil)
		must(t, err)
		return bus
	}, 5*time.Second, servers[:2])
	must(t, memcached.SetServers(t.Context(), stores[0], addrsOf(servers)...)) // the URL's are fewer
	l.run(t, loadFor(t, 500*time.Millisecond))
	must(t, redis.Kill())
	must(t, redis.Restart(t.Context()))
	l.quiet(t)
	for i, s := range stores {
		eventually(t, "all know the list of before", func() bool {
			now, err := memcached.Servers(t.Context(), s)
			return err == nil && len(now) == len(servers)
		})
		eventually(t, "a change is possible", func() bool {
			return memcached.SetServers(t.Context(), s, addrsOf(servers[i:])...) == nil
		})
	}
	l.run(t, loadFor(t, 500*time.Millisecond))
	l.stop()
	l.report(t)
}

// lastError is how long after then a call still failed.
func lastError(l *fleetLoad, then time.Time) time.Duration {
	failed := l.failed(then)
	if len(failed) == 0 {
		return 0
	}
	return failed[len(failed)-1].at.Sub(then).Round(time.Millisecond)
}
