package memcached_test

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

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

const depthTimeout = 500 * time.Millisecond

// front puts a network between stores and the servers, until the test ends.
func front(t *testing.T, servers ...*server.Server) *wire.Network {
	t.Helper()
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr()
	}
	n, err := wire.Front(depthTimeout, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// depth is the suite in depth for servers that nobody else uses. Stores have the options but for what the suite sets.
func depth(t *testing.T, topology string, o memcached.Options, servers ...*server.Server) backendtest.Depth {
	n := front(t, servers...)
	scheme := "memcached"
	if o.TLS != nil {
		scheme = "memcacheds"
	}
	o.Timeout = depthTimeout
	opener := func(o memcached.Options) func(t *testing.T) *backend.Store {
		return func(t *testing.T) *backend.Store {
			t.Helper()
			return openWith(t, scheme+"://"+strings.Join(n.Addrs(), ","), &o)
		}
	}
	h := harness(depthTimeout.String(), servers...)
	h.Open = opener(o)
	small := o
	small.Connections = 4
	return backendtest.Depth{
		Harness:     h,
		Topology:    topology,
		Servers:     n.Addrs(),
		Network:     n,
		OpenSmall:   opener(small),
		Connections: 4 * len(servers),
		NamesKeys:   true,
		Lies:        lies,
		Restarts: []backendtest.Restart{{Name: "without-data", Do: func(t *testing.T) {
			for _, s := range servers {
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range servers {
				if err := s.Restart(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}}},
	}
}

// Not parallel: its subject is the whole process.
func TestDepthOfOneServer(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth {
		servers := own(t, 1)
		d := depth(t, "memcached-single", memcached.Options{}, servers...)
		d.Move = move(t, d.Network.(*wire.Network))
		d.Servers = append(d.Servers, serverName)
		return d
	})
}

const serverName = "memcached.test"

// move gives the servers behind n a name, and then another address.
func move(t *testing.T, n *wire.Network) *backendtest.Move {
	t.Helper()
	addr, dial, elsewhere := servertest.Named(t, n, serverName)
	return &backendtest.Move{
		Open: func(t *testing.T) *backend.Store {
			return openWith(t, "memcached://"+addr, &memcached.Options{Timeout: depthTimeout, Dialer: dial})
		},
		Do: func(t *testing.T) { elsewhere(t) },
	}
}

// lying returns a lie: a change of all replies that say what is stored.
func lying(change func(reply string) string) func(int) func([]byte) []byte {
	return func(int) func([]byte) []byte {
		return func(reply []byte) []byte {
			if s := string(reply); strings.HasPrefix(s, "VALUE ") || strings.HasPrefix(s, "STORED") || strings.HasPrefix(s, "END") {
				return []byte(change(s))
			}
			return reply
		}
	}
}

func instead(answer string) func(int) func([]byte) []byte {
	return lying(func(string) string { return answer })
}

var header = regexp.MustCompile(`^VALUE (\S+) (\d+) (\d+)`)

// lies are what no memcached says.
var lies = []backendtest.Lie{
	{Name: "value-of-3-GB", Rewrite: lying(func(s string) string {
		if !header.MatchString(s) {
			return "VALUE k 0 3000000000\r\n"
		}
		return header.ReplaceAllString(s, "VALUE $1 $2 3000000000")
	})},
	{Name: "endless-line", Rewrite: instead(strings.Repeat("x", 1<<20))},
	{Name: "value-of-another-key", Rewrite: instead("VALUE another 0 3 1\r\nabc\r\nEND\r\n")},
	{Name: "endless-values", Rewrite: instead(strings.Repeat("VALUE k 0 3 1\r\nabc\r\n", 10000))},
	{Name: "negative-length", Rewrite: instead("VALUE k 0 -3\r\n")},
	{Name: "another-protocol", Rewrite: instead("HTTP/1.1 400 Bad Request\r\n\r\n")},
	{Name: "record-cut-short", Rewrite: lying(func(s string) string {
		return header.ReplaceAllString(strings.Replace(s, "STORED", "STOR", 1), "VALUE $1 $2 20")
	})},
}

// Not parallel: it counts what the process allocates.
func TestAHostileServerCannotMakeTheClientUseMoreMemoryThanAllowed(t *testing.T) {
	const itemSize, besides = 1 << 20, 1 << 19 // besides: connections, errors and the like
	n := front(t, servertest.SharedMemcached(t))
	item := func(size, sent int) string {
		return fmt.Sprintf("VALUE k 0 %d 1\r\n%s", size, strings.Repeat("x", sent))
	}
	whole := item(itemSize, itemSize) + "\r\n"
	for _, c := range []struct {
		name, answer string
		most         uint64 // what was asked for is a key and the mark of the pool
	}{
		{"a value of 3 GB", item(3_000_000_000, 0), 0},
		{"a value just too long", item(itemSize+1, 0), 0},
		{"the longest value, of which nothing comes", item(itemSize, 0), itemSize},
		{"more values than keys", strings.Repeat(whole, 20), 2 * itemSize},
		{"a line without end", strings.Repeat("x", 32<<20), 0},
		{"an error without end", "SERVER_ERROR " + strings.Repeat("x", 32<<20), 0},
		{"statistics without end", strings.Repeat("STAT a b\r\n", 4<<20), itemSize},
	} {
		told := []byte(c.answer)
		check := func(how, addr string, before func(s *backend.Store)) {
			s := open(t, fmt.Sprintf("memcached://%s?timeout=%v&item_size=%d", addr, depthTimeout, itemSize))
			before(s)
			var begin, end runtime.MemStats
			runtime.ReadMemStats(&begin)
			r := s.Get(t.Context(), "a")[0]
			_, err := s.Stats(t.Context())
			runtime.ReadMemStats(&end)
			if !errors.Is(r.Err, backend.ErrUnavailable) || !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s, %s: %d bytes, %v; Stats: %v; want ErrUnavailable", c.name, how, len(r.Record), r.Err, err)
			}
			if used, most := end.TotalAlloc-begin.TotalAlloc, c.most+besides; used > most {
				t.Errorf("%s, %s: %d bytes were allocated, and %d are allowed", c.name, how, used, most)
			}
		}
		check("in answers", n.Addrs()[0], func(s *backend.Store) {
			if r := s.Get(t.Context(), "a")[0]; r.Err != nil {
				t.Fatal(r.Err)
			}
			n.Rewrite(func(int) func([]byte) []byte { return func([]byte) []byte { return told } })
		})
		if err := n.Heal(); err != nil {
			t.Fatal(err)
		}
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
		check("from the first byte on", hostile.Addr(), func(*backend.Store) {})
		hostile.Close()
	}
}
