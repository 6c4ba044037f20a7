package integration_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/tier"
)

// Two nodes that share nothing but servers count to 1000 each from nothing, by several callers. No count is lost, and none is
// told twice.
func TestTwoNodesCountTogetherOnEveryBackend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server func(*testing.T) *server.Server
		bus    func(ctx context.Context, store *backend.Store, url, name string) (*invalidation.Bus, error)
		each   int // counts of a caller; all 500 with STRATA_LOAD
	}{
		"Redis": {func(t *testing.T) *server.Server { return servertest.SharedRedis(t) }, func(_ context.Context, store *backend.Store, _, name string) (*invalidation.Bus, error) {
			return redisbus.New(store, &redisbus.Options{Name: name})
		}, 500},
		"Memcached": {func(t *testing.T) *server.Server { return servertest.SharedMemcached(t) }, func(ctx context.Context, _ *backend.Store, url, name string) (*invalidation.Bus, error) {
			return memcachedbus.Open(ctx, url, &memcachedbus.Options{Name: name})
		}, 500},
		"Hazelcast": {func(t *testing.T) *server.Server { return servertest.SharedHazelcast(t) }, func(_ context.Context, store *backend.Store, _, name string) (*invalidation.Bus, error) {
			return hazelcastbus.New(store, &hazelcastbus.Options{Name: name})
		}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const nodes, callers = 2, 2
			if os.Getenv("STRATA_LOAD") != "" {
				c.each = 500
			}
			url, key := c.server(t).URL(), servertest.Key(t)
			key = key[max(0, len(key)-20):]
			var all sync.WaitGroup
			var mu sync.Mutex
			seen := map[int]int{}
			var last *tier.Cache[string, int]
			for range nodes {
				store := openStore(t, url)
				bus, err := c.bus(t.Context(), store, url, key)
				must(t, err)
				t.Cleanup(func() { bus.Close() })
				node, err := tier.New(key, &tier.Options[string, int]{Remote: store, Bus: bus, MaxStaleness: 30 * time.Second})
				must(t, err)
				t.Cleanup(func() { node.Close() })
				last = node
				for range callers {
					all.Go(func() {
						for range c.each {
							v, err := node.Update(t.Context(), "n", func(old int, _ bool) (int, error) { return old + 1, nil })
							if err != nil {
								t.Error(err)
								return
							}
							mu.Lock()
							seen[v]++
							mu.Unlock()
						}
					})
				}
			}
			all.Wait()
			for i := 1; i <= nodes*callers*c.each; i++ {
				if seen[i] != 1 {
					t.Fatalf("%d was counted %d times", i, seen[i])
				}
			}
			if v, err := last.Get(t.Context(), "n", tier.Fresh()); v != nodes*callers*c.each || err != nil {
				t.Errorf("in the end %d, %v", v, err)
			}
		})
	}
}
