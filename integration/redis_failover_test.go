package integration_test

import (
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
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
	l := startLoad(t, loadKeys(16, "a", "b"), openStore(t, srv.URL()+patient), openStore(t, srv.URL()+patient))
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
	l := startLoad(t, loadKeys(8, list...), openStore(t, c.URL()+patient), openStore(t, c.URL()+patient))
	l.run(t, loadFor(t, time.Second))

	o := outage{before: time.Now()}
	end := l.lose(affected)
	must(t, victim.Kill())
	o.since = time.Now()
	end(o.since.Add(time.Second)) // answers that had arrived and are still to be seen
	_, err := c.AwaitFailover(t.Context(), victim, server.Slot("{"+list[0]+"}"))
	must(t, err)
	o.up = time.Now()
	l.quiet(t)
	must(t, victim.Restart(t.Context())) // it comes back as a replica of its successor
	must(t, c.AwaitOK(t.Context()))
	back := time.Now()
	l.run(t, loadFor(t, time.Second))
	l.stop()
	if late := l.failed(back); len(late) > 0 {
		t.Errorf("%d errors after everything was back, such as: key %s: %v", len(late), late[0].key, late[0].err)
	}
	settled(t, l.ledger, "redis cluster, SIGKILL of a primary", o, affected)
}

func TestThePrimaryUnderSentinelsIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t)
	l := startLoad(t, loadKeys(16, "a", "b"), openStore(t, g.URL()+patient), openStore(t, g.URL()+patient))
	l.run(t, loadFor(t, time.Second))

	old, err := g.Primary(t.Context())
	must(t, err)
	o := outage{before: time.Now()}
	end := l.lose(everyKey)
	must(t, old.Kill())
	o.since = time.Now()
	end(o.since.Add(time.Second))
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

// trustedAgain waits until all nodes have given up what they held, and hear the bus and serve local values again.
func (l *fleetLoad) trustedAgain(t testing.TB, flushes []uint64) {
	t.Helper()
	for i, c := range l.nodes {
		eventually(t, "the local tier is given up", func() bool { return c.Stats().Flushes > flushes[i] })
		eventually(t, "the bus is heard again", func() bool { return c.Stats().Trusted })
		before := c.Stats().LocalHits
		eventually(t, "local hits", func() bool { return c.Stats().LocalHits > before })
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
	for name, c := range map[string]struct {
		timeout    string
		fail, back func(t testing.TB, old *server.Server)
		deaf       time.Duration // for how long clients may go on with the old primary, which answers them
	}{
		"killed": {
			timeout: patient,
			fail:    func(t testing.TB, old *server.Server) { must(t, old.Kill()) },
			back:    func(t testing.TB, old *server.Server) { must(t, old.Restart(t.Context())) }, // empty, and as a primary
		},
		"paused": {
			timeout: "?timeout=1s", // within which a call to the paused server fails
			fail:    func(t testing.TB, old *server.Server) { must(t, old.Pause()) },
			back:    func(t testing.TB, old *server.Server) { must(t, old.Resume()) }, // as a primary with its old connections
		},
		"cut off from the sentinels": {timeout: patient, fail: deafen, back: hear, deaf: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The clients have a user of their own, so that they keep their access when the sentinels lose theirs.
			g := servertest.Sentinel(t, &server.SentinelOptions{Node: server.RedisOptions{Users: []server.RedisUser{{Name: "app", Password: "app"}}}})
			l := startFleet(t, strings.Replace(g.URL(), "://", "://app:app@", 1)+c.timeout, 3, 60)
			l.run(t, loadFor(t, 2*time.Second))

			old, err := g.Primary(t.Context())
			must(t, err)
			flushes, o := l.flushes(), outage{before: time.Now()}
			end := func(time.Time) {} // what the server forgets the caches do not
			if c.deaf > 0 {
				end = l.lose(everyKey) // but two primaries at a time are two truths
			}
			c.fail(t, old)
			o.since = time.Now()
			_, err = g.AwaitFailover(t.Context(), old)
			must(t, err)
			o.up = time.Now()
			end(o.up.Add(c.deaf))
			l.quiet(t)
			l.trustedAgain(t, flushes)
			t.Logf("local values are served again after %v", time.Since(o.since))
			c.back(t, old)
			must(t, g.AwaitReady(t.Context()))
			l.run(t, loadFor(t, time.Second))
			l.stop()
			settled(t, l.ledger, "caches on redis sentinel, the primary "+name, o, everyKey)
		})
	}
}

// deafen locks the sentinels out of a primary: its clients notice nothing, and nobody tells it that it was replaced.
func deafen(t testing.TB, old *server.Server) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: old.Addr()})
	defer c.Close()
	ctx := t.Context()
	must(t, c.Do(ctx, "CONFIG", "SET", "requirepass", "nobody knows").Err())
	clients, err := c.ClientList(ctx).Result()
	must(t, err)
	for line := range strings.Lines(clients) {
		if id, ok := strings.CutPrefix(strings.Fields(line)[0], "id="); ok && strings.Contains(line, " name=sentinel-") {
			must(t, c.Do(ctx, "CLIENT", "KILL", "ID", id).Err())
		}
	}
}

// hear undoes deafen.
func hear(t testing.TB, old *server.Server) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: old.Addr(), Password: "nobody knows"})
	defer c.Close()
	must(t, c.Do(t.Context(), "CONFIG", "SET", "requirepass", "").Err())
}

func TestCachesOutliveTheDeathOfThePrimaryThatHasTheirBus(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: time.Second})
	l := startFleet(t, c.URL()+patient, 3, 60)
	l.run(t, loadFor(t, 2*time.Second))

	slot := server.Slot("{strata:" + redisbus.DefaultName + "}:log") // where redisbus has its log unless it is told otherwise
	victim, err := c.Owner(t.Context(), slot)
	must(t, err)
	flushes, o := l.flushes(), outage{before: time.Now()}
	must(t, victim.Kill())
	o.since = time.Now()
	_, err = c.AwaitFailover(t.Context(), victim, slot)
	must(t, err)
	o.up = time.Now()
	l.quiet(t)
	l.trustedAgain(t, flushes)
	t.Logf("local values are served again after %v", time.Since(o.since))
	l.run(t, loadFor(t, time.Second))
	l.stop()
	settled(t, l.ledger, "caches on redis cluster, SIGKILL of the bus's primary", o, everyKey)
}
