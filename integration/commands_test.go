package integration_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A tap counts the commands that go through a proxy to a server.
type tap struct {
	proxy *wire.Proxy
	url   string

	mu    sync.Mutex
	count map[string]int // guarded by mu
}

// newTap puts a tap before the server of a URL, and makes who uses it patient: what times out is counted twice, or not at all. next takes
// one command from the beginning of what has come, if it is all there, and says how many bytes it takes; a command without a name does
// not count.
func newTap(t *testing.T, rawURL string, next func(b []byte) (name string, n int)) *tap {
	t.Helper()
	u, err := url.Parse(rawURL)
	must(t, err)
	p, err := wire.New(u.Host)
	servertest.Require(t, err)
	t.Cleanup(func() { p.Close() })
	u.Host = p.Addr()
	q := u.Query()
	q.Set("timeout", "30s")
	u.RawQuery = q.Encode()
	x := &tap{proxy: p, url: u.String(), count: map[string]int{}}
	p.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
		var seen []byte
		return func(piece []byte) []byte {
			seen = append(seen, piece...)
			for {
				name, n := next(seen)
				if n == 0 {
					return piece
				}
				seen = seen[n:]
				if name != "" {
					x.mu.Lock()
					x.count[name]++
					x.mu.Unlock()
				}
			}
		}
	}}, wire.ToServer)
	return x
}

// sum is how many commands there were, and which.
func (x *tap) sum() (n int, which string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.count {
		n += c
	}
	return n, fmt.Sprint(x.count)
}

// redisCommand reads *N and N times $L and L bytes.
func redisCommand(b []byte) (string, int) {
	rest, name := b, ""
	number := func(kind byte) (int, bool) {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 || line[0] != kind {
			return 0, false
		}
		n, err := strconv.Atoi(string(line[1:]))
		rest = after
		return n, err == nil
	}
	parts, ok := number('*')
	if !ok {
		return "", 0
	}
	for i := range parts {
		n, ok := number('$')
		if !ok || len(rest) < n+2 {
			return "", 0
		}
		if i == 0 {
			name = strings.ToUpper(string(rest[:n]))
		}
		rest = rest[n+2:]
	}
	switch name {
	case "GET", "MGET", "EVALSHA", "EVAL", "PUBLISH", "SET", "DEL":
	default:
		name = "" // of a connection: HELLO, PING, SUBSCRIBE, …
	}
	return name, len(b) - len(rest)
}

// memcachedCommand reads a line, and the data of a command that stores.
func memcachedCommand(b []byte) (string, int) {
	line, _, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok {
		return "", 0
	}
	fields, n := strings.Fields(string(line)), len(line)+2
	switch fields[0] {
	case "set", "add", "cas", "replace", "append", "prepend":
		size, err := strconv.Atoi(fields[4])
		if n += size + 2; err != nil || len(b) < n {
			return "", 0
		}
	case "version", "stats", "verbosity":
		return "", n
	}
	return fields[0], n
}

// ringRead is the type of a message that asks for the next items of a ring buffer.
const ringRead = 0x170900

// hazelcastCommand reads the frames of a message. What matters are those to maps and ring buffers.
func hazelcastCommand(b []byte) (string, int) {
	if bytes.HasPrefix(b, []byte("CP2")) {
		return "", 3
	}
	const begin, final = 1 << 15, 1 << 13
	kind := ""
	for at := 0; at+6 <= len(b); {
		size, flags := int(binary.LittleEndian.Uint32(b[at:])), binary.LittleEndian.Uint16(b[at+4:])
		if at+size > len(b) {
			break
		}
		if flags&begin != 0 && size >= 10 && kind == "" {
			switch typ := binary.LittleEndian.Uint32(b[at+6:]); typ >> 16 {
			case 0x01:
				kind = "map"
			case 0x17:
				if kind = "ring"; typ == ringRead {
					kind = "" // one always waits, at each node
				}
			}
		}
		at += size
		if flags&final != 0 {
			return kind, at
		}
	}
	return "", 0
}

// What each call costs at the servers, counted there. docs/guarantees.md tells the same.
func TestCommandsOfAMissAndAWrite(t *testing.T) {
	t.Parallel()
	type products struct {
		server  func(*testing.T) *server.Server
		command func([]byte) (string, int)
		bus     func(ctx context.Context, url string, o invalidation.Options) (*invalidation.Bus, error) // nil: with the store's client
	}
	redis := products{func(t *testing.T) *server.Server { return servertest.SharedRedis(t) }, redisCommand,
		func(ctx context.Context, url string, o invalidation.Options) (*invalidation.Bus, error) {
			return redisbus.Open(ctx, url, &redisbus.Options{Options: o, Name: "commands"})
		}}
	memcached := products{func(t *testing.T) *server.Server { return servertest.SharedMemcached(t) }, memcachedCommand,
		func(ctx context.Context, url string, o invalidation.Options) (*invalidation.Bus, error) {
			return memcachedbus.Open(ctx, url, &memcachedbus.Options{Options: o, Name: "commands", Poll: time.Hour})
		}}
	hazelcast := products{func(t *testing.T) *server.Server { return servertest.SharedHazelcast(t) }, hazelcastCommand,
		func(ctx context.Context, url string, o invalidation.Options) (*invalidation.Bus, error) {
			return hazelcastbus.Open(ctx, url, &hazelcastbus.Options{Options: o, Name: "commands"})
		}}
	shared := products{server: redis.server, command: redisCommand}
	type cost struct{ remote, bus int }
	for _, c := range []struct {
		name                  string
		store, bus            products
		miss, hit, set, empty cost
	}{
		{"Redis and Redis, one client", redis, shared, cost{3, 0}, cost{1, 0}, cost{3, 0}, cost{2, 0}}, // the announcement is one of them
		{"Redis and Redis, two clients", redis, redis, cost{3, 0}, cost{1, 0}, cost{2, 1}, cost{1, 1}},
		{"Memcached and Redis", memcached, redis, cost{5, 0}, cost{1, 0}, cost{4, 1}, cost{2, 1}},
		{"Memcached and Memcached", memcached, memcached, cost{5, 0}, cost{1, 0}, cost{4, 2}, cost{2, 2}},
		{"Hazelcast and Redis", hazelcast, redis, cost{5, 0}, cost{1, 0}, cost{4, 1}, cost{2, 1}},
		{"Hazelcast and Hazelcast", hazelcast, hazelcast, cost{5, 0}, cost{1, 0}, cost{4, 1}, cost{2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, bus := newTap(t, c.store.server(t).URL(), c.store.command), newTap(t, c.bus.server(t).URL(), c.bus.command)
			remote := openStore(t, store.url)
			var b *invalidation.Bus
			var err error
			if c.bus.bus == nil {
				b, err = redisbus.New(remote, &redisbus.Options{Name: "commands"})
			} else {
				b, err = c.bus.bus(t.Context(), bus.url, invalidation.Options{})
			}
			must(t, err)
			t.Cleanup(func() { b.Close() })
			x, err := tier.New(servertest.Key(t), &tier.Options[int, string]{
				Remote: remote, Bus: b, MaxStaleness: 10 * time.Second, Version: "1",
				Policy: policy.CacheAside[int, string](policy.LoaderFunc[int, string](func(context.Context, int) (string, error) { return "value", nil })),
			})
			must(t, err)
			t.Cleanup(func() { x.Close() })
			eventually(t, "trust", func() bool { return x.Stats().Trusted })
			const n, rounds = 10, 10
			count := func(what string, want cost, call func(key int) error) {
				t.Helper()
				must(t, call(1<<20)) // connections are made, scripts loaded
				least, said := cost{1 << 20, 1 << 20}, ""
				for round := range rounds { // in most of which there is no heartbeat
					s0, before := store.sum()
					b0, busBefore := bus.sum()
					for i := range n {
						must(t, call(round*n+i))
					}
					s1, after := store.sum()
					b1, busAfter := bus.sum()
					if s1-s0+b1-b0 < least.remote+least.bus {
						least = cost{s1 - s0, b1 - b0}
						said = fmt.Sprintf("remote from %s to %s, bus from %s to %s", before, after, busBefore, busAfter)
					}
				}
				if least != (cost{n * want.remote, n * want.bus}) {
					t.Errorf("%s: %d times cost %d commands at the remote tier and %d at the bus, want %d and %d each; %s", what, n, least.remote, least.bus, want.remote, want.bus, said)
				}
			}
			count("a miss", c.miss, func(key int) error { _, err := x.Get(t.Context(), key); return err })
			count("a remote hit", c.hit, func(key int) error {
				_, err := x.Get(t.Context(), key, tier.SkipLocalRead(), tier.SkipLocalWrite())
				return err
			})
			count("a local hit", cost{}, func(key int) error { _, err := x.Get(t.Context(), key); return err })
			count("Set", c.set, func(key int) error { return x.Set(t.Context(), key, "new") })
			count("Invalidate", c.empty, func(key int) error { return x.Invalidate(t.Context(), key) })
		})
	}
}
