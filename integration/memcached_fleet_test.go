package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
)

// Three caches whose store and bus are one memcached, each behind a network of its own, live through what can happen to it.
func TestAFleetOnMemcachedAloneIsNeverStale(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true})
	var proxies []*wire.Proxy
	l := startFleetOf(t, 3, 60, func() (*backend.Store, *invalidation.Bus) {
		p, err := wire.New(srv.Addr())
		must(t, err)
		t.Cleanup(func() { p.Close() })
		proxies = append(proxies, p)
		store := openStore(t, "memcached://"+p.Addr()+"?timeout=300ms")
		bus, err := memcachedbus.New(store, nil)
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		return store, bus
	})
	l.run(t, loadFor(t, time.Second))
	last := proxies[len(proxies)-1]
	for _, c := range []struct {
		what    string
		flushes bool
		happens func()
	}{
		{"SIGSTOP for longer than the bound", false, func() {
			must(t, srv.Pause())
			l.wait(t, 3*maxStaleness/2)
			must(t, srv.Resume())
		}},
		{"what it says to one node is lost", false, func() {
			last.Set(wire.Fault{Blackhole: true}, wire.ToClient)
			l.wait(t, 3*maxStaleness/2)
			must(t, last.Heal())
		}},
		{"one node is cut off", false, func() {
			last.Set(wire.Fault{Blackhole: true})
			l.wait(t, 3*maxStaleness/2)
			must(t, last.Heal())
		}},
		{"bits are flipped", false, func() {
			// In what it says alone: a request that has become one for another key is acknowledged, and only TCP's checksum or
			// TLS keeps that from happening (docs/guarantees.md).
			last.Set(wire.Fault{Rewrite: wire.Flip(5000)}, wire.ToClient)
			l.wait(t, 3*maxStaleness/2)
			must(t, last.Heal())
			last.Cut() // what was half said would never end
		}},
		{"flush_all", true, func() {
			client := memcache.New(srv.Addr())
			defer client.Close()
			must(t, client.FlushAll())
		}},
		{"kill -9 and restart", true, func() {
			must(t, srv.Kill())
			must(t, srv.Restart(context.Background()))
		}},
		{"warm restart", true, func() { must(t, srv.Restart(context.Background())) }},
	} {
		before := make([]uint64, len(l.nodes))
		for i, node := range l.nodes {
			before[i] = node.Stats().Flushes
		}
		began := time.Now()
		c.happens()
		healed := time.Now()
		if c.flushes {
			l.trustedAgain(t, before)
		}
		for _, node := range l.nodes {
			eventually(t, "trusted after "+c.what, func() bool { return node.Stats().Trusted })
		}
		took := time.Since(healed)
		l.quiet(t)
		var flushed []uint64
		for i, node := range l.nodes {
			flushed = append(flushed, node.Stats().Flushes-before[i])
			if !c.flushes && c.what != "bits are flipped" && flushed[i] > 0 {
				t.Errorf("%s: node %d flushed", c.what, i)
			}
		}
		t.Logf("%s %s: trusted after %v, flushes %v, %d errors", began.Format(clockTime), c.what, took.Round(time.Millisecond), flushed, len(l.failed(began)))
	}
	l.stop()
	l.report(t)
}

// wait lets the load go on for that long, whether anything succeeds or not: time is what is waited for.
func (l *fleetLoad) wait(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
