package integration_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	_ "github.com/strata-cache/strata/backend/hazelcast"
	_ "github.com/strata-cache/strata/backend/memcached"
	_ "github.com/strata-cache/strata/backend/memory"
	_ "github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestMain(m *testing.M) {
	for env, serve := range map[string]func(spec string) error{envWriter: serveWriter, envHerd: serveHerd, envBehind: serveBehind} {
		if spec, ok := os.LookupEnv(env); ok {
			if err := serve(spec); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	servertest.Main(m, servertest.Ignore(servertest.HazelcastLeaks...)...)
}

const maxStaleness = time.Second

type (
	cache  = tier.Cache[int, string]
	source = tiertest.Source[int, string]
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func openStore(t testing.TB, url string) *backend.Store {
	t.Helper()
	store, err := backend.Open(context.Background(), url)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

// node is a cache with a store and a bus of its own on srv, as another process has them.
func node(t testing.TB, srv *server.Server, s *source) *cache {
	t.Helper()
	store := openStore(t, srv.URL())
	bus, err := redisbus.New(store, nil)
	must(t, err)
	t.Cleanup(func() { bus.Close() })
	c, err := tier.New("c", &tier.Options[int, string]{
		Remote: store, Bus: bus, MaxStaleness: maxStaleness, Policy: policy.CacheAside(s),
	})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
