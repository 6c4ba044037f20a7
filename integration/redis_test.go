package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// commands returns how many commands a server ran, by name, but for those that look.
func commands(t *testing.T, store *backend.Store) map[string]int {
	t.Helper()
	var client *goredis.Client
	if !store.As(&client) {
		t.Fatal("no native client")
	}
	info, err := client.Info(t.Context(), "commandstats").Result()
	must(t, err)
	counts := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || name == "info" {
			continue
		}
		n, _, _ := strings.Cut(rest, ",")
		counts[name], err = strconv.Atoi(n)
		must(t, err)
	}
	return counts
}

func TestARemoteHitIsOneCommandOnTheWire(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	looker, store := openStore(t, srv.URL()), openStore(t, srv.URL())
	c, err := tier.New("c", &tier.Options[int, string]{Remote: store, LocalCost: -1})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	keys := make([]int, 50)
	for i := range keys {
		keys[i] = i
		must(t, c.Set(t.Context(), i, "v"))
	}
	const times = 20
	count := func(what string, do func(i int)) int {
		t.Helper()
		before := commands(t, looker)
		for i := range times {
			do(i)
		}
		delta, sum := map[string]int{}, 0
		for name, n := range commands(t, looker) {
			if n -= before[name]; n > 0 {
				delta[name] = n
				sum += n
			}
		}
		t.Logf("%d × %s: %v", times, what, delta)
		return sum
	}
	if n := count("Get", func(i int) {
		if v, err := c.Get(t.Context(), i); v != "v" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}); n != times {
		t.Errorf("%d commands for %d remote hits", n, times)
	}
	if n := count("GetMany of 50 keys", func(int) {
		for _, e := range c.GetMany(t.Context(), keys) {
			if e.Tier != tier.Remote {
				t.Errorf("%+v", e)
			}
		}
	}); n != times {
		t.Errorf("%d commands for %d bulk hits", n, times)
	}
	count("Set", func(i int) { must(t, c.Set(t.Context(), i, "w")) })
}

// fleet is three nodes that are trusted and hold key 1.
func fleet(t *testing.T, srv *server.Server, s *source) []*cache {
	t.Helper()
	s.Put(1, "v0")
	nodes := []*cache{node(t, srv, s), node(t, srv, s), node(t, srv, s)}
	for _, n := range nodes {
		eventually(t, "trusted", func() bool { return n.Stats().Trusted })
		if v, err := n.Get(t.Context(), 1); v != "v0" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
	}
	return nodes
}

// nobodyIsStale checks that no read of any node which starts more than MaxStaleness after returned has an older value.
func nobodyIsStale(t *testing.T, nodes []*cache, returned time.Time, newest string) {
	t.Helper()
	for i, n := range nodes {
		eventually(t, "the new value is served", func() bool {
			began := time.Now()
			v, err := n.Get(t.Context(), 1)
			if err == nil && v != newest && began.Sub(returned) > maxStaleness {
				t.Fatalf("node %d served %q %v after Invalidate of it returned", i, v, began.Sub(returned))
			}
			return err == nil && v == newest
		})
	}
}

func TestThreeNodesOnRedisStayCoherent(t *testing.T) {
	t.Parallel()
	s := tiertest.NewSource[int, string]()
	nodes := fleet(t, servertest.Redis(t), s)
	for i := range 50 {
		v := fmt.Sprint("v", i+1)
		s.Put(1, v)
		must(t, nodes[i%3].Invalidate(t.Context(), 1))
		nobodyIsStale(t, nodes, time.Now(), v)
	}
}

func TestNodesOutliveAStoppedAndARestartedRedis(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(t *testing.T, srv *server.Server) (end func()){
		"stopped by a signal": func(t *testing.T, srv *server.Server) func() {
			must(t, srv.Pause())
			return func() { must(t, srv.Resume()) }
		},
		"killed": func(t *testing.T, srv *server.Server) func() {
			must(t, srv.Kill())
			return func() { must(t, srv.Restart(context.Background())) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, s := servertest.Redis(t), tiertest.NewSource[int, string]()
			nodes := fleet(t, srv, s)
			end := outage(t, srv)
			s.Put(1, "v1")
			if err := nodes[0].Invalidate(t.Context(), 1); err == nil {
				t.Error("Invalidate succeeded without a server")
			}
			// Nobody trusts its local tier any more: all ask the source.
			nobodyIsStale(t, nodes, time.Now(), "v1")
			end()
			eventually(t, "Invalidate succeeds", func() bool { return nodes[0].Invalidate(t.Context(), 1) == nil })
			nobodyIsStale(t, nodes, time.Now(), "v1")
			for _, n := range nodes {
				eventually(t, "the local tier is back", func() bool {
					r, err := n.Lookup(t.Context(), 1)
					return err == nil && r.Value == "v1" && r.Tier == tier.Local
				})
			}
		})
	}
}

func TestTheSameCacheOnEveryBackend(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func() string{
		"memory":    func() string { return "memory://" },
		"redis":     func() string { return servertest.SharedRedis(t).URL() },
		"memcached": func() string { return servertest.SharedMemcached(t).URL() },
		"hazelcast": func() string { return servertest.SharedHazelcast(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tiertest.NewSource[int, string]()
			s.Put(1, "one")
			store := openStore(t, url()).Prefix(servertest.Key(t))
			open := func() *cache {
				c, err := tier.New("c", &tier.Options[int, string]{Remote: store, Policy: policy.CacheAside(s), LocalCost: -1})
				must(t, err)
				t.Cleanup(func() { c.Close() })
				return c
			}
			a, b := open(), open()
			eventually(t, "the server is connected", func() bool { return store.Ping(t.Context()) == nil })
			read := func(c *cache, want string, from tier.Tier) {
				t.Helper()
				if r, err := c.Lookup(t.Context(), 1); r.Value != want || r.Tier != from || err != nil {
					t.Errorf("%+v, %v, want %q from %v", r, err, want, from)
				}
			}
			read(a, "one", tier.Source)
			read(b, "one", tier.Remote)
			must(t, b.Set(t.Context(), 1, "uno", tier.WithTags("x")))
			read(a, "uno", tier.Remote)
			must(t, a.Invalidate(t.Context(), 1))
			read(b, "one", tier.Source)
			must(t, a.SetMany(t.Context(), map[int]string{2: "two", 3: "three"}))
			for i, e := range b.GetMany(t.Context(), []int{3, 2, 1, 3}) {
				if want := []string{"three", "two", "one", "three"}[i]; e.Value != want || e.Tier != tier.Remote {
					t.Errorf("entry %d: %+v", i, e)
				}
			}
		})
	}
}
