package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

const depthTimeout = 500 * time.Millisecond

// front puts a network between stores and the servers at addrs, until the test ends.
func front(t *testing.T, addrs ...string) *wire.Network {
	t.Helper()
	n, err := wire.Front(depthTimeout, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// Not parallel: its subject is the whole process.
func TestDepthOfOneServer(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		srv := servertest.Redis(t, &server.RedisOptions{Persist: true})
		n := front(t, srv.Addr())
		url := "redis://" + n.Addrs()[0]
		h := harness(srv, &redis.Options{Timeout: depthTimeout})
		h.Open = opener(url, redis.Options{Timeout: depthTimeout})
		return backendtest.Depth{
			Harness:     h,
			Topology:    "redis-single",
			Servers:     append(n.Addrs(), serverName),
			Network:     n,
			OpenSmall:   opener(url, redis.Options{Timeout: depthTimeout, PoolSize: 4, NoBatching: true}),
			Connections: 4,
			Lies:        lies,
			Move:        move(t, n),
			Restarts: []backendtest.Restart{
				{Name: "with-data", Keeps: true, Do: func(t *testing.T) { restart(t, srv) }},
				{Name: "without-data", Do: func(t *testing.T) {
					c := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
					defer c.Close()
					if err := c.FlushAll(context.Background()).Err(); err != nil {
						t.Fatal(err)
					}
					restart(t, srv)
				}},
			},
		}
	})
}

// restart kills the server and starts it again.
func restart(t *testing.T, srv *server.Server) {
	t.Helper()
	if err := errors.Join(srv.Kill(), srv.Restart(context.Background())); err != nil {
		t.Fatal(err)
	}
}

const serverName = "redis.test"

// move gives the servers behind n a name, and then another address.
func move(t *testing.T, n *wire.Network) *backendtest.Move {
	t.Helper()
	addr, dial, elsewhere := servertest.Named(t, n, serverName)
	return &backendtest.Move{
		Open: opener("redis://"+addr, redis.Options{Timeout: depthTimeout, Dialer: dial}),
		Do:   func(t *testing.T) { elsewhere(t) },
	}
}

// instead returns a lie: what a server says in place of every answer to a question. What it says while a connection is made
// stays.
func instead(answer string) func(int) func([]byte) []byte {
	told := []byte(answer)
	return func(int) func([]byte) []byte {
		return func(reply []byte) []byte {
			if strings.IndexByte("$*:", reply[0]) < 0 {
				return reply
			}
			return told
		}
	}
}

var recordLength = regexp.MustCompile(`(?m)^\$\d\d`)

// lies are what no Redis server says.
var lies = []backendtest.Lie{
	{Name: "string-of-3-GB", Rewrite: instead("$3000000000\r\n")},
	{Name: "array-of-1e9", Rewrite: instead("*1000000000\r\n")},
	{Name: "deep-arrays", Rewrite: instead(strings.Repeat("*1\r\n", 10000))},
	{Name: "endless-line", Rewrite: instead("+" + strings.Repeat("x", 1<<20))},
	{Name: "endless-error", Rewrite: instead("-ERR " + strings.Repeat("x", 1<<20))},
	{Name: "no-number", Rewrite: instead(":12x\r\n")},
	{Name: "negative-length", Rewrite: instead("$-7\r\n")},
	{Name: "another-protocol", Rewrite: instead("HTTP/1.1 400 Bad Request\r\n\r\n")},
	{Name: "record-cut-short", Rewrite: func(int) func([]byte) []byte {
		return func(reply []byte) []byte { return recordLength.ReplaceAll(reply, []byte("$$20")) }
	}},
}

// Not parallel: it counts what the process allocates.
func TestAHostileServerCannotMakeTheClientUseMoreMemoryThanAllowed(t *testing.T) {
	const maxValue, besides = 1 << 20, 1 << 19 // besides: connections, errors and the like
	text := func(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }
	one, two := []string{"a"}, []string{"a", "b"}
	n := front(t, servertest.SharedRedis(t).Addr())
	for _, c := range []struct {
		name, answer string
		keys         []string
		most         uint64
	}{
		{"a string of 3 GB", "$3000000000\r\n", one, 0},
		{"a string just too long", fmt.Sprintf("$%d\r\n", maxValue+1), one, 0},
		{"the longest string, of which nothing comes", fmt.Sprintf("$%d\r\n", maxValue), one, maxValue},
		{"an array of 1e9", "*1000000000\r\n", two, 0},
		{"an array as long as is allowed, of which nothing comes", "*65000\r\n", two, 8 * maxValue},
		{"arrays in arrays", strings.Repeat("*60000\r\n", 16), two, 8 * maxValue},
		{"more long strings than a reply may hold", "*100\r\n" + strings.Repeat(text(maxValue), 20), two, 8 * maxValue},
		{"a line without end", "+" + strings.Repeat("x", 32<<20), one, 0},
	} {
		check := func(how, addr string, before func()) {
			s, err := redis.Open(t.Context(), "redis://"+addr, &redis.Options{Timeout: depthTimeout, MaxValue: maxValue})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			before()
			var begin, end runtime.MemStats
			runtime.ReadMemStats(&begin)
			r := s.Get(t.Context(), c.keys...)[0]
			runtime.ReadMemStats(&end)
			if !errors.Is(r.Err, backend.ErrUnavailable) {
				t.Errorf("%s, %s: %d bytes, %v; want ErrUnavailable", c.name, how, len(r.Record), r.Err)
			}
			if used, most := end.TotalAlloc-begin.TotalAlloc, c.most+besides; used > most {
				t.Errorf("%s, %s: %d bytes were allocated, and %d are allowed", c.name, how, used, most)
			}
		}
		check("in answers", n.Addrs()[0], func() { n.Rewrite(instead(c.answer)) })
		if err := n.Heal(); err != nil {
			t.Fatal(err)
		}
		told := []byte(c.answer)
		hostile, err := wire.Listen(func(c net.Conn) {
			for b := make([]byte, 4096); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
				if _, err := c.Write(told); err != nil {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		check("from the first byte on", hostile.Addr(), func() {})
		hostile.Close()
	}
}

func TestRecordsThatAreTooMuchForOneReplyAreHadOneByOne(t *testing.T) {
	t.Parallel()
	o := patient()
	o.MaxValue = 4 << 10
	s := openStore(t, servertest.SharedRedis(t).URL(), o)
	own := servertest.Key(t)
	for name, tc := range map[string]struct{ keys, length int }{"long": {20, 4 << 10}, "many": {1000, record.HeaderLen}} {
		var keys []string
		var ops []driver.Op
		for i := range tc.keys {
			op := add(fmt.Sprint(own, name, i))
			op.Record = append(op.Record[:record.HeaderLen:record.HeaderLen], make([]byte, tc.length-record.HeaderLen)...)
			keys, ops = append(keys, op.Key), append(ops, op)
		}
		for i, e := range s.Write(t.Context(), ops...) {
			if e.Outcome != driver.Done {
				t.Fatalf("%s: op %d: %v %v", name, i, e.Outcome, e.Err)
			}
		}
		for i, r := range s.Get(t.Context(), keys...) {
			if r.Err != nil || len(r.Record) != tc.length || record.TokenOf(r.Record) != record.TokenOf(ops[i].Record) {
				t.Errorf("%s: key %d: %d bytes, %v", name, i, len(r.Record), r.Err)
			}
		}
	}
}
