package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

func everyKey(string) bool { return true }

// An outage is when a server was about to fail, had failed, and the others, or it again, could serve.
type outage struct{ before, since, up time.Time }

// settled logs for how long the keys of the failed server could not be written, and checks that no error came before the
// outage and that it ended.
func settled(t testing.TB, l *ledger, what string, o outage, at func(key string) bool) {
	t.Helper()
	last := o.since
	for _, f := range l.failed(time.Time{}) {
		if f.at.Before(o.before) {
			t.Errorf("before the outage, key %s: %v", f.key, f.err)
		}
		last = f.at
	}
	first := l.firstAck(o.since, at)
	if first.IsZero() {
		t.Errorf("%s: nothing was written any more", what)
	}
	t.Logf("%s: the servers had recovered after %v, the first write succeeded after %v, the last error came after %v",
		what, o.up.Sub(o.since), first.Sub(o.since), last.Sub(o.since))
	l.report(t)
}

func TestASingleRedisIsKilledUnderLoadAndComesBackWithItsData(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t, &server.RedisOptions{Persist: true})
	l := startLoad(t, loadKeys(16, "a", "b"), openStore(t, srv.URL()), openStore(t, srv.URL()))
	l.run(t, loadFor(t, time.Second))
	o := outage{before: time.Now()}
	must(t, srv.Kill())
	o.since = time.Now()
	must(t, srv.Restart(t.Context()))
	o.up = time.Now()
	l.quiet(t)
	l.stop()
	settled(t, l.ledger, "redis single, SIGKILL and restart", o, everyKey) // nothing is lost: each write was on disk
}

func TestAPrimaryOfAClusterIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: time.Second})
	list, owners := spreadTags(t, c, 2)
	victim := owners[list[0]]
	affected := func(key string) bool {
		tag, _, _ := strings.Cut(strings.TrimPrefix(key, "load:{"), "}")
		return owners[tag] == victim
	}
	l := startLoad(t, loadKeys(8, list...), openStore(t, c.URL()), openStore(t, c.URL()))
	l.run(t, loadFor(t, 2*time.Second))

	o := outage{before: time.Now()}
	l.lose(o.before, o.before.Add(replicationLag), affected)
	must(t, victim.Kill())
	o.since = time.Now()
	_, err := c.AwaitFailover(t.Context(), victim, server.Slot("{"+list[0]+"}"))
	must(t, err)
	o.up = time.Now()
	l.quiet(t)
	must(t, victim.Restart(t.Context())) // it comes back as a replica of its successor
	must(t, c.AwaitOK(t.Context()))
	back := time.Now()
	l.run(t, loadFor(t, 2*time.Second))
	l.stop()
	if late := l.failed(back); len(late) > 0 {
		t.Errorf("%d errors after everything was back, such as: key %s: %v", len(late), late[0].key, late[0].err)
	}
	settled(t, l.ledger, "redis cluster, SIGKILL of a primary", o, affected)
}

func TestThePrimaryUnderSentinelsIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t)
	l := startLoad(t, loadKeys(16, "a", "b"), openStore(t, g.URL()), openStore(t, g.URL()))
	l.run(t, loadFor(t, 2*time.Second))

	old, err := g.Primary(t.Context())
	must(t, err)
	o := outage{before: time.Now()}
	l.lose(o.before, o.before.Add(replicationLag), everyKey)
	must(t, old.Kill())
	o.since = time.Now()
	_, err = g.AwaitFailover(t.Context(), old)
	must(t, err)
	o.up = time.Now()
	l.quiet(t)
	must(t, old.Restart(t.Context())) // empty, and for some time it takes itself for the primary
	must(t, g.AwaitReady(t.Context()))
	back := time.Now()
	l.run(t, loadFor(t, time.Second))
	l.stop()
	if late := l.failed(back); len(late) > 0 {
		t.Errorf("%d errors after everything was back, such as: key %s: %v", len(late), late[0].key, late[0].err)
	}
	settled(t, l.ledger, "redis sentinel, SIGKILL of the primary", o, everyKey)
}

// trustedAgain waits until all nodes hear the bus and serve local values again, and checks that each gave up what it had
// held before.
func (l *fleetLoad) trustedAgain(t testing.TB, flushes []uint64) {
	t.Helper()
	for i, c := range l.nodes {
		eventually(t, "the bus is heard again", func() bool { return c.Stats().Trusted })
		before := c.Stats().LocalHits
		eventually(t, "local hits", func() bool { return c.Stats().LocalHits > before })
		if n := c.Stats().Flushes; n <= flushes[i] {
			t.Errorf("node %d kept its local tier through a failover", i)
		}
	}
}

func (l *fleetLoad) flushes() (counts []uint64) {
	for _, c := range l.nodes {
		counts = append(counts, c.Stats().Flushes)
	}
	return counts
}

func TestCachesOutliveAFailoverAndDoNotBelieveTheOldPrimary(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*server.Server) error{
		"killed": (*server.Server).Kill,
		"paused": (*server.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := servertest.Sentinel(t)
			l := startFleet(t, g.URL(), 3, 60)
			l.run(t, loadFor(t, 4*time.Second))

			old, err := g.Primary(t.Context())
			must(t, err)
			flushes, o := l.flushes(), outage{before: time.Now()}
			l.lose(o.before, o.before.Add(replicationLag), everyKey)
			must(t, fail(old))
			o.since = time.Now()
			_, err = g.AwaitFailover(t.Context(), old)
			must(t, err)
			o.up = time.Now()
			l.quiet(t)
			l.trustedAgain(t, flushes)
			t.Logf("local values are served again after %v", time.Since(o.since))
			if name == "killed" {
				must(t, old.Restart(t.Context()))
			} else {
				must(t, old.Resume()) // it believes to be the primary still, and has connections from before
			}
			must(t, g.AwaitReady(t.Context()))
			l.run(t, loadFor(t, time.Second))
			l.stop()
			settled(t, l.ledger, "caches on redis sentinel, the primary "+name, o, everyKey)
		})
	}
}
