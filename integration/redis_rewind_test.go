package integration_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// sure matches the testimony of a server that surely has all that was announced.
var sure = regexp.MustCompile(`"upto":"\w+/(\d+)","sure":"\w+/(\d+)"`)

// rewindNode is a node of one process: a cache of strings, 9 keys, with its store, and a bus there or at another server.
func rewindNode(t testing.TB, url, bus string, s *source) (c *cache, b *invalidation.Bus, die func()) {
	t.Helper()
	store := openStore(t, url)
	var err error
	if bus == url {
		b, err = redisbus.New(store, nil)
	} else {
		b, err = redisbus.Open(t.Context(), bus, nil)
	}
	must(t, err)
	c, err = tier.New("rewind", &tier.Options[int, string]{
		Remote: store, Bus: b, MaxStaleness: maxStaleness, TTL: time.Hour, Policy: policy.CacheAside[int, string](s),
		OnEvent: func(e tier.Event) {
			if e.Kind == tier.EventRewind {
				t.Log(e.Err)
			}
		},
	})
	must(t, err)
	die = func() {
		c.Close()
		b.Close()
		store.Close()
	}
	t.Cleanup(die)
	eventually(t, "trusted", func() bool { return c.Stats().Trusted })
	return c, b, die
}

// A restart from an old snapshot, with the writer dead, on a node that lived through it and on one that began later; with the bus
// on the same server, and on another. Not parallel: it switches the guard off.
func TestARedisThatRestartsFromAnOldSnapshotServesNothingOld(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("guarded=%t/bus too=%t", guarded, together), func(t *testing.T) {
				if !guarded {
					defer weaken.Switch(weaken.Guard)()
				}
				srv := servertest.Redis(t, &server.RedisOptions{KeepFolder: true})
				bus := srv
				if !together {
					bus = servertest.SharedRedis(t)
				}
				s := tiertest.NewSource[int, string]()
				for k := 1; k < 10; k++ {
					s.Put(k, "old")
				}
				reader, _, _ := rewindNode(t, srv.URL(), bus.URL(), s)
				writer, heard, die := rewindNode(t, srv.URL(), bus.URL(), s)
				before, err := heard.Head(t.Context())
				must(t, err)
				must(t, writer.Invalidate(t.Context(), 100)) // so that both pulses are written
				client := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
				defer client.Close()
				if guarded {
					eventually(t, "the testimony is sure", func() bool {
						body, _ := client.Get(t.Context(), "rewind/1/guard").Result()
						m := sure.FindStringSubmatch(body)
						if m == nil || m[1] != m[2] {
							return false
						}
						n, err := strconv.ParseUint(m[2], 10, 64)
						return err == nil && n > before.N
					})
				}
				for k := 1; k < 10; k++ {
					_, err := writer.Get(t.Context(), k)
					must(t, err)
				}
				must(t, client.Save(t.Context()).Err())
				s.Put(1, "new")
				must(t, writer.Invalidate(t.Context(), 1))
				eventually(t, "heard", func() bool { return reader.Stats().Received > 1 })
				die()
				must(t, srv.Kill())
				must(t, srv.Restart(t.Context()))
				if n := client.Exists(t.Context(), "rewind/1/{1}").Val(); n != 1 {
					t.Fatal("the server came back without the old value")
				}
				fresh, _, _ := rewindNode(t, srv.URL(), bus.URL(), s)
				old := 0
				for name, c := range map[string]*cache{"the reader": reader, "a node that began later": fresh} {
					v, err := c.Get(t.Context(), 1, tier.SkipLocalRead())
					must(t, err)
					if v == "old" {
						old++
						if guarded {
							t.Errorf("%s got the old value", name)
						}
					}
				}
				if !guarded {
					if old == 0 {
						t.Error("the old value was not served without the guard")
					}
					return
				}
				loads := s.Loads()
				for k := 2; k < 10; k++ {
					eventually(t, "what was not lost is used again", func() bool {
						v, ok, err := fresh.Peek(t.Context(), k, tier.SkipLocalRead())
						return ok && v == "old" && err == nil
					})
				}
				if n := s.Loads() - loads; n != 0 {
					t.Errorf("%d loads", n)
				}
			})
		}
	}
}

// A failover to a replica that has not heard of the last invalidation, with the writer dead. Not parallel: it switches the guard off.
func TestAFailoverToAReplicaThatWasBehindServesNothingOld(t *testing.T) {
	for _, c := range []struct{ guarded, together bool }{{true, true}, {true, false}, {false, false}} {
		t.Run(fmt.Sprintf("guarded=%t/bus too=%t", c.guarded, c.together), func(t *testing.T) {
			if !c.guarded {
				defer weaken.Switch(weaken.Guard)()
			}
			g := servertest.Sentinel(t, &server.SentinelOptions{Node: server.RedisOptions{Users: []server.RedisUser{{Name: "app", Password: "app"}}}})
			url := strings.Replace(g.URL(), "://", "://app:app@", 1) + patient
			bus := url
			if !c.together {
				bus = servertest.SharedRedis(t).URL()
			}
			s := tiertest.NewSource[int, string]()
			for k := 1; k < 10; k++ {
				s.Put(k, "old")
			}
			reader, _, _ := rewindNode(t, url, bus, s)
			writer, _, die := rewindNode(t, url, bus, s)
			for k := 1; k < 10; k++ {
				_, err := writer.Get(t.Context(), k)
				must(t, err)
			}
			old, err := g.Primary(t.Context())
			must(t, err)
			client := goredis.NewClient(&goredis.Options{Addr: old.Addr(), Username: "app", Password: "app"})
			defer client.Close()
			must(t, client.Do(t.Context(), "WAIT", 1, 10_000).Err())
			must(t, client.ConfigSet(t.Context(), "requirepass", "nobody knows").Err())
			must(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err())
			s.Put(1, "new")
			must(t, writer.Invalidate(t.Context(), 1))
			eventually(t, "heard", func() bool { return reader.Stats().Received > 0 })
			must(t, old.Kill())
			die()
			now, err := g.AwaitFailover(t.Context(), old)
			must(t, err)
			promoted := goredis.NewClient(&goredis.Options{Addr: now.Addr()})
			defer promoted.Close()
			if n := promoted.Exists(t.Context(), "rewind/1/{1}").Val(); n != 1 {
				t.Fatal("the replica had heard of the invalidation")
			}
			fresh, _, _ := rewindNode(t, url, bus, s)
			served := 0
			for name, c2 := range map[string]*cache{"the reader": reader, "a node that began later": fresh} {
				eventually(t, "the failover is noticed", func() bool {
					v, err := c2.Get(t.Context(), 1, tier.SkipLocalRead())
					if v == "old" {
						served++
						if c.guarded {
							t.Errorf("%s got the old value", name)
						}
					}
					return err == nil
				})
			}
			if !c.guarded && served == 0 {
				t.Error("the old value was not served without the guard")
			}
		})
	}
}
