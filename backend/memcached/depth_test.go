package memcached_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
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

// depth is the suite in depth for servers that nobody else uses.
func depth(t *testing.T, topology string, servers ...*server.Server) backendtest.Depth {
	n := front(t, servers...)
	opener := func(parameters string) func(t *testing.T) *backend.Store {
		return func(t *testing.T) *backend.Store {
			t.Helper()
			return open(t, fmt.Sprintf("memcached://%s?timeout=%v%s", strings.Join(n.Addrs(), ","), depthTimeout, parameters))
		}
	}
	h := harness(depthTimeout.String(), servers...)
	h.Open = opener("")
	return backendtest.Depth{
		Harness:     h,
		Topology:    topology,
		Servers:     n.Addrs(),
		Network:     n,
		OpenSmall:   opener("&connections=4"),
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

func TestDepthOfOneServer(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth { return depth(t, "memcached-single", own(t, 1)...) })
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
