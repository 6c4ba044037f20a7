package integration_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// trips counts the round trips of a client in which a word occurs.
type trips struct {
	word []byte
	n    atomic.Int64
}

func (h *trips) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *trips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		h.see(cmd)
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		h.see(cmds...)
		return next(ctx, cmds)
	}
}

func (h *trips) see(cmds ...goredis.Cmder) {
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			switch a := arg.(type) {
			case string:
				if strings.Contains(a, string(h.word)) {
					h.n.Add(1)
					return
				}
			case []byte:
				if bytes.Contains(a, h.word) {
					h.n.Add(1)
					return
				}
			}
		}
	}
}

// Where the store and the bus are one Redis, the announcement travels with the write.
func TestAnAnnouncementOnOneRedisCostsNoRoundTrip(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apart           bool  // the bus is at another server
		invalidate, set int64 // round trips to the store
	}{
		"one Redis": {invalidate: 1, set: 2},
		"two":       {apart: true, invalidate: 1, set: 2}, // and the bus has its own
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, cacheName, log := servertest.Redis(t), "ride", servertest.Key(t)
			store := openStore(t, srv.URL())
			var client *goredis.Client
			if !store.As(&client) {
				t.Fatal("no client")
			}
			h := &trips{word: []byte("/1/{")} // of every key of a value
			client.AddHook(h)
			var bus *invalidation.Bus
			var err error
			if c.apart {
				bus, err = redisbus.Open(t.Context(), servertest.SharedRedis(t).URL(), &redisbus.Options{Name: log})
			} else {
				bus, err = redisbus.New(store, nil)
			}
			must(t, err)
			t.Cleanup(func() { bus.Close() })
			other, err := redisbus.New(store, nil)
			if c.apart {
				must(t, other.Close())
				other, err = redisbus.Open(t.Context(), servertest.SharedRedis(t).URL(), &redisbus.Options{Name: log})
			}
			must(t, err)
			t.Cleanup(func() { other.Close() })
			s := tiertest.NewSource[int, string]()
			open := func(name string, b *invalidation.Bus, p policy.Policy[int, string]) *cache {
				n, err := tier.New(name, &tier.Options[int, string]{Remote: store, Bus: b, MaxStaleness: maxStaleness, Policy: p})
				must(t, err)
				t.Cleanup(func() { n.Close() })
				eventually(t, "trusted", func() bool { return n.Stats().Trusted })
				return n
			}
			writer, reader := open(cacheName, bus, policy.CacheAside[int, string](s)), open(cacheName, other, policy.CacheAside[int, string](s))
			through := open("through", bus, policy.WriteThrough(s))
			must(t, through.Set(t.Context(), 0, "warm"))
			must(t, writer.Set(t.Context(), 0, "warm")) // the scripts are loaded, and the markers read
			must(t, writer.Invalidate(t.Context(), 0))
			heard := reader.Stats().Received
			for what, step := range map[string]struct {
				do   func(k int) error
				want int64
			}{
				"Invalidate":  {func(k int) error { return writer.Invalidate(t.Context(), k) }, c.invalidate},
				"Set":         {func(k int) error { return writer.Set(t.Context(), k, "value") }, c.set},
				"Set through": {func(k int) error { return through.Set(t.Context(), k, "value") }, c.set},
			} {
				for k := 1; k <= 20; k++ {
					before := h.n.Load()
					must(t, step.do(k))
					if n := h.n.Load() - before; n != step.want {
						t.Errorf("%s: %d round trips to the store, want %d", what, n, step.want)
						break
					}
				}
			}
			eventually(t, "all is heard", func() bool { return reader.Stats().Received >= heard+40 })
			must(t, client.ScriptFlush(t.Context()).Err()) // a server forgets its scripts when it restarts
			_, err = reader.Get(t.Context(), 1)
			must(t, err)
			must(t, writer.Invalidate(t.Context(), 1))
			eventually(t, "it is heard although the server lacked the scripts", func() bool { return reader.Stats().Received >= heard+41 })
			if n := client.Exists(t.Context(), cacheName+"/1/{1}").Val(); n != 0 {
				t.Error("the value is still there")
			}
			stats := bus.Stats()
			if stats.Announced < 42 || stats.Published < 42 {
				t.Errorf("announced %d, published %d", stats.Announced, stats.Published)
			}
			if n := reader.Stats().Flushes; n > 1 {
				t.Errorf("%d flushes", n)
			}
		})
	}
}
