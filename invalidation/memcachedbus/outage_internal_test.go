package memcachedbus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// Whatever makes the server forget is another incarnation for everybody, and what has not is none.
func TestWhatIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		another bool
		happens func(t *testing.T, srv *server.Server, tr *transport)
	}{
		{"kill -9 and restart", true, func(t *testing.T, srv *server.Server, _ *transport) {
			servertest.Require(t, srv.Kill())
			servertest.Require(t, srv.Restart(t.Context()))
		}},
		{"warm restart", true, func(t *testing.T, srv *server.Server, _ *transport) { servertest.Require(t, srv.Restart(t.Context())) }},
		{"flush_all", true, func(t *testing.T, _ *server.Server, tr *transport) {
			onServer(t, tr, "", func(s *memcachedconn.Session, _ string) error { return s.Client().FlushAll() })
		}},
		{"the nonce is evicted", true, func(t *testing.T, _ *server.Server, tr *transport) {
			onServer(t, tr, "", func(s *memcachedconn.Session, _ string) error { return s.Client().Delete(memcachedconn.NonceKey) })
		}},
		{"the log is evicted", true, func(t *testing.T, _ *server.Server, tr *transport) { changeLog(t, tr, nil) }},
		{"SIGSTOP and SIGCONT", false, func(t *testing.T, srv *server.Server, tr *transport) {
			servertest.Require(t, srv.Pause())
			if _, err := tr.Publish(t.Context(), [][]byte{[]byte("lost")}); !errors.Is(err, invalidation.ErrUnavailable) {
				t.Errorf("Publish to a stopped server: %v", err)
			}
			servertest.Require(t, srv.Resume())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true})
			nodes := []*transport{open(t, srv.URL(), Options{}), open(t, srv.URL(), Options{})}
			at := transporttest.Subscribed(t, nodes[0])
			transporttest.Subscribed(t, nodes[1])
			for i := range 3 {
				transporttest.Publish(t, nodes[0], fmt.Sprint(i))
			}
			c.happens(t, srv, dialUntil(t, srv.URL()+"?timeout=300ms"))
			p := transporttest.Publish(t, nodes[0], "after")
			if (p.Incarnation != at.Incarnation) != c.another {
				t.Errorf("published at %v, after %v", p, at)
			}
			for i, tr := range nodes {
				subscribed := false
				for d := transporttest.Receive(t, tr); ; d = transporttest.Receive(t, tr) {
					subscribed = subscribed || d.Kind == invalidation.Subscribed
					if d.Position == p {
						break
					}
				}
				if subscribed != c.another {
					t.Errorf("node %d subscribed anew: %t", i, subscribed)
				}
			}
		})
	}
}

// dialUntil opens a transport, which is closed with the test, and waits until it knows the log.
func dialUntil(t *testing.T, url string) *transport {
	t.Helper()
	tr := open(t, url, Options{Poll: lazy})
	transporttest.Subscribed(t, tr)
	return tr
}

// A node that is cut off, without anybody telling, reads on from where it was as soon as it can.
func TestABlackholeCostsNoFlush(t *testing.T) {
	t.Parallel()
	for _, d := range []wire.Direction{wire.ToServer, wire.ToClient} {
		t.Run(strconv.Itoa(int(d)), func(t *testing.T) {
			t.Parallel()
			srv := servertest.Memcached(t)
			p, err := wire.New(srv.Addr())
			servertest.Require(t, err)
			defer p.Close()
			cut, other := open(t, onPort(p.Addr())+"?timeout=200ms", Options{}), open(t, srv.URL(), Options{})
			at := transporttest.Subscribed(t, cut)
			p.Set(wire.Fault{Blackhole: true}, d)
			began := time.Now()
			if _, err := cut.Publish(t.Context(), [][]byte{[]byte("cut")}); !errors.Is(err, invalidation.ErrUnavailable) {
				t.Errorf("Publish: %v", err)
			}
			if took := time.Since(began); took > 8*200*time.Millisecond {
				t.Errorf("Publish took %v", took)
			}
			if _, err := cut.Receive(t.Context()); !errors.Is(err, invalidation.ErrUnavailable) {
				t.Errorf("Receive: %v", err)
			}
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint(i))
				transporttest.Publish(t, other, want[i])
			}
			servertest.Require(t, p.Heal())
			var got []string
			for len(got) == 0 || got[len(got)-1] != want[len(want)-1] {
				d := transporttest.Receive(t, cut)
				if at.N++; d.Position != at {
					t.Fatalf("got %+v, want a frame at %v", d, at)
				}
				if string(d.Frame) != "cut" { // the server may have got it
					got = append(got, string(d.Frame))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// What this transport costs the server is documented in docs/memcached.md.
func TestTheCostInCommands(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t)
	tr := open(t, srv.URL(), Options{Poll: lazy})
	transporttest.Subscribed(t, tr)
	stats := func() (n [3]int) {
		onServer(t, tr, "", func(s *memcachedconn.Session, _ string) error {
			stats, err := s.Stats()
			for i, name := range []string{"cmd_get", "cmd_set", "total_connections"} {
				n[i], _ = strconv.Atoi(stats[name])
			}
			return err
		})
		return n
	}
	for _, c := range []struct {
		what string
		gets int // keys read; each request reads the nonce too
		sets int
		do   func() error
	}{
		{"a publish: one request for three keys, one swap", 3, 1, func() error {
			_, err := tr.Publish(t.Context(), [][]byte{[]byte("x"), []byte("y")})
			return err
		}},
		{"one that makes the frames before it a page: that, and then the same", 3, 2, func() error {
			_, err := tr.Publish(t.Context(), [][]byte{[]byte(large("x")[:recentBytes-8])})
			return err
		}},
		{"a look: one request for three keys", 3, 0, func() error { return tr.look(t.Context()) }},
		{"a hint: one request for two keys, one to add", 2, 1, func() error { return tr.Hint(t.Context(), []byte("x")) }},
	} {
		before := stats()
		servertest.Require(t, c.do())
		after := stats()
		after[0]-- // of the request that asks for the stats: the nonce
		if after[0]-before[0] != c.gets || after[1]-before[1] != c.sets || after[2] != before[2] {
			t.Errorf("%s: %d keys read, %d stored, %d connections made", c.what, after[0]-before[0], after[1]-before[1], after[2]-before[2])
		}
	}
}
