package redisbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// subscriptions returns the ids of the connections that are subscribed to something.
func subscriptions(t *testing.T, s *server.Server) string {
	t.Helper()
	var list string
	client(t, s, func(ctx context.Context, c *redisconn.Conn) (err error) {
		list, err = c.Client().Do(ctx, "CLIENT", "LIST", "TYPE", "pubsub").Text()
		return err
	})
	var ids []string
	for line := range strings.Lines(list) {
		id, _, _ := strings.Cut(line, " ")
		ids = append(ids, id)
	}
	return strings.Join(ids, ",")
}

func openNodeAt(t *testing.T, url string) node {
	t.Helper()
	bus, err := redisbus.Open(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return attach(t, bus, bound)
}

func TestAnAgedSubscriptionIsReplacedWithoutAFlush(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNodeAt(t, s.URL()+"?max_age=200ms&timeout=5s")
	n.trustedNow(t)
	sent := 0
	for changes, last := 0, subscriptions(t, s); changes < 3; {
		n.announce(t, fmt.Sprint(sent))
		sent++
		if now := subscriptions(t, s); now != last && !strings.Contains(now, ",") {
			changes, last = changes+1, now
		}
		if sent > 100_000 {
			t.Fatal("the subscription is never replaced")
		}
	}
	n.wait(t, "all announcements", func(r *recorder) bool { return len(r.keys) == sent })
	for i, key := range n.keys {
		if key != fmt.Sprint(i) {
			t.Fatalf("announcement %d is %s", i, key)
		}
	}
	if flushes, _ := n.counts(); flushes != 1 {
		t.Errorf("%d flushes, want the one of the first subscription: %v", flushes, n.bus.Stats().Flushes)
	}
}

// heard announces from a and waits until b has heard it.
func heard(t *testing.T, a, b node, key string) {
	t.Helper()
	a.announce(t, key)
	b.wait(t, key, func(r *recorder) bool {
		for _, k := range r.keys {
			if k == key {
				return true
			}
		}
		return false
	})
}

// pair opens two trusted nodes, of which the second has heard the first.
func pair(t *testing.T, url string) (a, b node) {
	t.Helper()
	a, b = openNodeAt(t, url), openNodeAt(t, url)
	a.trustedNow(t)
	b.trustedNow(t)
	heard(t, a, b, "before")
	return a, b
}

func TestAFailoverBySentinelsFlushesAndRecovers(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t)
	a, b := pair(t, g.URL())
	before := b.Position()
	flushes, _ := b.counts()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	old, err := g.Primary(ctx)
	servertest.Require(t, err)
	client(t, old, killSubscriptions)
	for i := range 20 {
		a.announce(t, fmt.Sprint("cut", i))
	}
	b.wait(t, "what was announced while it was cut", func(r *recorder) bool { return slices.Contains(r.keys, "cut19") })
	if now, _ := b.counts(); now != flushes {
		t.Errorf("a cut at the primary cost %d flushes", now-flushes)
	}
	servertest.Require(t, old.Pause()) // hangs, and comes back as what it was
	_, err = g.AwaitFailover(ctx, old)
	servertest.Require(t, err)
	b.wait(t, "a flush", func(r *recorder) bool { return r.flushes > flushes })
	a.trustedNow(t)
	b.trustedNow(t)
	servertest.Require(t, old.Resume())
	heard(t, a, b, "after")
	if _, comparable := b.Position().Compare(before); comparable {
		t.Errorf("the new primary has the same incarnation: %v, then %v", before, b.Position())
	}
}

func TestTheBusIsAtOneMemberOfACluster(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t)
	a, b := pair(t, c.URL())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	slot := redisconn.Slot("{strata:bus}")
	owner, err := c.Owner(ctx, slot)
	servertest.Require(t, err)
	if got := subscriptions(t, owner); strings.Count(got, ",") != 1 {
		t.Errorf("subscriptions at the owner: %q, want those of two nodes", got)
	}

	flushes, _ := b.counts()
	servertest.Require(t, owner.Kill())
	if _, err := a.Announce(ctx, invalidation.Message{Verb: invalidation.VerbClear}); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Announce to a dead member: %v, want ErrUnavailable", err)
	}
	next, err := c.AwaitFailover(ctx, owner, slot)
	servertest.Require(t, err)
	b.wait(t, "a flush", func(r *recorder) bool { return r.flushes > flushes })
	a.trustedNow(t)
	b.trustedNow(t)
	heard(t, a, b, "after")
	if got := subscriptions(t, next); strings.Count(got, ",") != 1 {
		t.Errorf("subscriptions at the new owner: %q, want those of two nodes", got)
	}
}

func TestTheSubscriptionFollowsItsSlot(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t)
	a, b := pair(t, c.URL())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	slot := redisconn.Slot("{strata:bus}")
	owner, err := c.Owner(ctx, slot)
	servertest.Require(t, err)
	to := c.Nodes()[0]
	if to == owner {
		to = c.Nodes()[1]
	}
	flushes, _ := b.counts()
	replays := b.bus.Stats().Replays
	client(t, owner, killSubscriptions)
	for i := range 20 { // a cut at one primary, which has the log
		a.announce(t, fmt.Sprint("cut", i))
	}
	b.wait(t, "what was announced while it was cut", func(r *recorder) bool { return slices.Contains(r.keys, "cut19") })
	if now, _ := b.counts(); now != flushes {
		t.Errorf("a cut at the owner of the slot cost %d flushes, %d replays", now-flushes, b.bus.Stats().Replays-replays)
	}
	servertest.Require(t, c.Migrate(ctx, slot, to))
	b.wait(t, "a flush: another server is another incarnation", func(r *recorder) bool { return r.flushes > flushes })
	heard(t, a, b, "after")
	a.trustedNow(t)
	b.trustedNow(t)
	for n := 0; strings.Count(subscriptions(t, to), ",") != 1; n++ {
		a.trustedNow(t) // a heartbeat notices
		if n > 100 {
			t.Fatalf("subscriptions at the new owner: %q, want those of two nodes", subscriptions(t, to))
		}
	}
}
