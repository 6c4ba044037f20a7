package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// One of three nodes loses its bus in every way, under load, while the remote tier goes on. No read is stale beyond the bound, and
// none fails; what the log still has costs no flush.
func TestABusThatIsSilentOrCutUnderLoadCostsNoFlushAndNoRead(t *testing.T) {
	t.Parallel()
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		s := servertest.Redis(t)
		loseTheBus(t, s, s.URL()+"?timeout=500ms", func(url string) (*invalidation.Bus, error) { return redisbus.Open(t.Context(), url, nil) })
	})
	t.Run("Hazelcast", func(t *testing.T) {
		t.Parallel()
		if os.Getenv(envLoad) == "" {
			t.Skipf("half a minute, with a member of its own: set %s", envLoad)
		}
		port, err := server.FreePort()
		must(t, err)
		clients, err := server.FreePort()
		must(t, err)
		// Clients are told an address at which nobody is, so that they stay with the proxy that they know.
		s := servertest.Hazelcast(t, &server.HazelcastOptions{Port: port, ClientPort: clients, PublicAddress: "127.0.0.1:1"})
		loseTheBus(t, servertest.Redis(t), s.URL()+"&timeout=500ms", func(url string) (*invalidation.Bus, error) { return hazelcastbus.Open(t.Context(), url, nil) })
	})
}

// loseTheBus has the nodes' store at s, and their bus at a URL.
func loseTheBus(t *testing.T, s *server.Server, at string, open func(url string) (*invalidation.Bus, error)) {
	u, err := url.Parse(at)
	must(t, err)
	var buses []*invalidation.Bus
	var proxy *wire.Proxy
	l := startFleetOf(t, 3, 60, func() (*backend.Store, *invalidation.Bus) {
		p, err := wire.New(u.Host)
		must(t, err)
		t.Cleanup(func() { p.Close() })
		proxy = p
		bus, err := open(strings.Replace(at, u.Host, proxy.Addr(), 1))
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		buses = append(buses, bus)
		return openStore(t, s.URL()), bus
	})
	bus, c := buses[2], l.nodes[2] // behind the last proxy
	l.run(t, loadFor(t, time.Second))
	cut := func() {
		proxy.Refuse()
		proxy.Cut()
	}
	for _, o := range []struct {
		what   string
		fault  func()
		lasts  time.Duration
		silent bool
	}{
		{"a second without an answer", func() { proxy.Set(wire.Fault{Blackhole: true}) }, time.Second, false},
		{"a second without a connection", cut, time.Second, false},
		{"three seconds of silence", func() { proxy.Set(wire.Fault{Blackhole: true}) }, 3 * time.Second, true},
		{"three seconds in which nothing arrives here", func() { proxy.Set(wire.Fault{Blackhole: true}, wire.ToClient) }, 3 * time.Second, true},
		{"three seconds in which nothing arrives there", func() { proxy.Set(wire.Fault{Blackhole: true}, wire.ToServer) }, 3 * time.Second, true},
	} {
		before, began := bus.Stats(), time.Now()
		o.fault()
		l.run(t, o.lasts)
		if trusted := c.Stats().Trusted; trusted && o.silent {
			t.Errorf("%s: the node is still trusted", o.what)
		}
		must(t, proxy.Heal())
		healed := time.Now()
		eventually(t, "trust", func() bool {
			return bus.Stats().TrustMargin > 0 && bus.Stats().Trusted > before.Trusted && c.Stats().Trusted
		})
		l.run(t, maxStaleness)
		after := bus.Stats()
		reconnects, flushes := after.Reconnects-before.Reconnects, after.Flushes[invalidation.FlushGap]+after.Flushes[invalidation.FlushSubscribed]-
			before.Flushes[invalidation.FlushGap]-before.Flushes[invalidation.FlushSubscribed]
		t.Logf("%s: %d reconnects, %d replays of %d frames, trusted %v after it was over", o.what, reconnects, after.Replays-before.Replays,
			after.Replayed-before.Replayed, time.Since(healed).Round(time.Millisecond))
		if flushes > 0 || after.Flushes[invalidation.FlushIncarnation] > 0 {
			t.Errorf("%s: flushed: %v, then %v", o.what, before.Flushes, after.Flushes)
		}
		if after.Replays == before.Replays {
			t.Errorf("%s: nothing was missed", o.what)
		}
		// The first replacement comes after one bound, the next after two more.
		if o.silent && (reconnects < 1 || reconnects > 2) {
			t.Errorf("%s: %d reconnects", o.what, reconnects)
		}
		for _, f := range l.failed(began) {
			if !errors.Is(f.err, tier.ErrInvalidationPending) {
				t.Errorf("%s: a read failed: %v", o.what, f.err)
			}
		}
	}

	// For good: without its local tier, and without an error.
	cut()
	eventually(t, "trust ends", func() bool { return !c.Stats().Trusted })
	gone, before := time.Now(), c.Stats()
	l.run(t, 2*maxStaleness)
	after := c.Stats()
	if after.LocalHits != before.LocalHits || after.RemoteHits == before.RemoteHits {
		t.Errorf("without a bus: %d local hits, %d remote hits", after.LocalHits-before.LocalHits, after.RemoteHits-before.RemoteHits)
	}
	must(t, proxy.Heal())
	eventually(t, "trust, when it is back after all", func() bool { return c.Stats().Trusted })
	l.stop()
	for _, f := range l.failed(gone) {
		if !errors.Is(f.err, tier.ErrInvalidationPending) {
			t.Errorf("without a bus: a read failed: %v", f.err)
		}
	}
	l.report(t)
}

// counted is a source that counts.
type counted struct{ loads atomic.Int64 }

func (s *counted) Load(_ context.Context, key int) (string, error) {
	s.loads.Add(1)
	return fmt.Sprint(key), nil
}

// All nodes are cut off for longer than their log reaches: each flushes once, and what they read afterwards they have from the remote
// tier, each key when it is read, and none from the source.
func TestAFlushOfAWholeFleetDoesNotReachTheSource(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	proxy, err := wire.New(s.Addr())
	must(t, err)
	t.Cleanup(func() { proxy.Close() })
	const nodes, keys = 3, 300
	o := &redisbus.Options{LogFrames: 50}
	src := &counted{}
	var fleet []*cache
	var buses []*invalidation.Bus
	for range nodes {
		bus, err := redisbus.Open(t.Context(), strings.Replace(s.URL(), s.Addr(), proxy.Addr(), 1)+"?timeout=500ms", o)
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		c, err := tier.New("c", &tier.Options[int, string]{Remote: openStore(t, s.URL()), Bus: bus, MaxStaleness: maxStaleness, Policy: policy.CacheAside(src)})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		eventually(t, "trusted", func() bool { return c.Stats().Trusted })
		fleet, buses = append(fleet, c), append(buses, bus)
	}
	readAll := func() {
		t.Helper()
		for _, c := range fleet {
			for k := range keys {
				if v, err := c.Get(t.Context(), k); err != nil || v != fmt.Sprint(k) {
					t.Fatalf("%d: %q, %v", k, v, err)
				}
			}
		}
	}
	readAll()
	if n := src.loads.Load(); n != keys {
		t.Fatalf("%d loads of %d keys", n, keys)
	}
	writer, err := redisbus.Open(t.Context(), s.URL(), o)
	must(t, err)
	t.Cleanup(func() { writer.Close() })
	a, err := writer.Attach("another cache", "", maxStaleness, quiet{})
	must(t, err)

	flushed := make([]uint64, nodes)
	remote := make([]uint64, nodes)
	for i, c := range fleet {
		flushed[i], remote[i] = c.Stats().Flushes, c.Stats().RemoteHits
	}
	proxy.Refuse()
	proxy.Cut()
	for range 2 * o.LogFrames {
		_, err := a.Announce(t.Context(), invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{"k"}})
		must(t, err)
	}
	must(t, proxy.Heal())
	for i, c := range fleet {
		eventually(t, "a flush", func() bool { return c.Stats().Flushes > flushed[i] })
		eventually(t, "trusted", func() bool { return c.Stats().Trusted && buses[i].Stats().TrustMargin > 0 })
	}
	for i, c := range fleet {
		if n := c.Stats().RemoteHits - remote[i]; n > 0 {
			t.Errorf("node %d read %d keys again that nobody asked for", i, n)
		}
	}
	readAll()
	readAll()
	for i, c := range fleet {
		st := c.Stats()
		if st.Flushes != flushed[i]+1 || st.RemoteHits-remote[i] > keys+keys/10 { // Ristretto may refuse some
			t.Errorf("node %d: %d flushes, %d remote reads of %d keys", i, st.Flushes-flushed[i], st.RemoteHits-remote[i], keys)
		}
	}
	if n := src.loads.Load(); n != keys {
		t.Errorf("the flush cost the source %d loads", n-keys)
	}
}

// quiet is a cache that nothing concerns.
type quiet struct{}

func (quiet) Apply(invalidation.Position, bool, invalidation.Message) {}
func (quiet) Flush(string)                                            {}
func (quiet) Trust(time.Time)                                         {}
