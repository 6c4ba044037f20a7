package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// calls returns how often a server ran a command, by name.
func calls(t *testing.T, s *server.Server) map[string]string {
	t.Helper()
	text, err := admin(t, s).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]string{}
	for line := range strings.Lines(text) {
		name, stats, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		counts[name], _, _ = strings.Cut(stats, ",")
	}
	return counts
}

// filled stores n records with keys that are spread over a cluster.
func filled(t *testing.T, s *backend.Store, n int) (keys []string) {
	t.Helper()
	own := servertest.Key(t)
	var ops []driver.Op
	for i := range n {
		keys = append(keys, fmt.Sprint(own, i))
		ops = append(ops, add(keys[i]))
	}
	for i, e := range s.Write(t.Context(), ops...) {
		if e.Outcome != driver.Done {
			t.Fatalf("op %d: %v %v", i, e.Outcome, e.Err)
		}
	}
	return keys
}

// ownerOf is the server that has a key.
func ownerOf(t *testing.T, c *server.Cluster, s *backend.Store, key string) *server.Server {
	t.Helper()
	owner, err := c.Owner(t.Context(), redisconn.Slot(s.Key(key)))
	servertest.Require(t, err)
	return owner
}

// lasting is a cluster in which nobody is replaced while a test lasts.
func lasting() *server.ClusterOptions { return &server.ClusterOptions{NodeTimeout: time.Minute} }

func TestAMemberThatHangsFailsItsOwnKeysAndNothingRunsTwice(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, lasting())
	const timeout = 2 * time.Second
	s := openStore(t, c.URL(), &redis.Options{Timeout: timeout})
	keys := filled(t, s, 60)
	owners := map[string]*server.Server{}
	for _, key := range keys {
		owners[key], owners[key+"w"] = ownerOf(t, c, s, key), ownerOf(t, c, s, key+"w")
	}
	down := owners[keys[0]]
	before := calls(t, down)["evalsha"]
	servertest.Require(t, down.Pause())
	t.Cleanup(func() { _ = down.Resume() })

	var ops []driver.Op
	for _, key := range keys {
		ops = append(ops, add(key+"w"))
	}
	unknown := 0
	for i, e := range s.Write(t.Context(), ops...) {
		switch {
		case owners[ops[i].Key] != down:
			if e.Outcome != driver.Done {
				t.Errorf("op %d at another member: %v %v", i, e.Outcome, e.Err)
			}
		case e.Outcome == driver.Unknown && errors.Is(e.Err, backend.ErrUnavailable):
			unknown++
		default:
			t.Errorf("op %d at the member that hangs: %v %v", i, e.Outcome, e.Err)
		}
	}
	var waiting sync.WaitGroup
	for i := range 8 { // more than fly at a time
		waiting.Go(func() { s.Get(t.Context(), keys[i]) })
	}
	begin := time.Now()
	results := s.Get(t.Context(), keys...)
	if took := time.Since(begin); took > 4*timeout {
		t.Errorf("a bulk read took %v", took)
	}
	var failed int
	for i, r := range results {
		if owners[keys[i]] == down {
			failed++
			if !errors.Is(r.Err, backend.ErrUnavailable) || !strings.Contains(r.Err.Error(), down.Addr()) || r.Record != nil {
				t.Errorf("key %d of the member that hangs: %q %v", i, r.Record, r.Err)
			}
		} else if r.Err != nil || r.Record == nil {
			t.Errorf("key %d of another member: %q %v", i, r.Record, r.Err)
		}
	}
	if failed == 0 || failed == len(keys) {
		t.Errorf("%d of %d keys failed", failed, len(keys))
	}
	if err := s.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) || strings.Count(err.Error(), "ping") != 1 || !strings.Contains(err.Error(), down.Addr()) {
		t.Errorf("Ping: %v", err)
	}
	waiting.Wait()
	servertest.Require(t, down.Resume())
	for deadline := time.Now().Add(30 * time.Second); s.Ping(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the member does not come back")
		}
	}
	// What was written while it hung is in its buffers, and has run by now: once.
	var ran, had int
	fmt.Sscan(calls(t, down)["evalsha"], &ran)
	fmt.Sscan(before, &had)
	if ran-had > unknown {
		t.Errorf("%d ops were sent, and %d ran", unknown, ran-had)
	}
}

func TestASlotOnItsWayIsReadAndWritten(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t)
	s := openStore(t, c.URL(), patient())
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("same/slot%d", i))
	}
	bare := redisStore(t, c.URL())
	slot := redisconn.Slot("{tag}")
	stored := func(i int) string { return fmt.Sprintf("moving/v1/{tag}%d", i) }
	var tokens []record.Token
	for i := range keys {
		op := add(stored(i))
		tokens = append(tokens, record.TokenOf(op.Record))
		if e := bare.Write(t.Context(), []driver.Op{op})[0]; e.Outcome != driver.Done {
			t.Fatal(e.Err)
		}
		keys[i] = stored(i)
	}
	from, err := c.Owner(t.Context(), slot)
	servertest.Require(t, err)
	to := c.Nodes()[0]
	if to == from {
		to = c.Nodes()[1]
	}
	check := func(when string) {
		t.Helper()
		for i, r := range bare.Get(t.Context(), append(slices.Clone(keys), "moving/v1/{tag}none")) {
			if r.Err != nil || (r.Record == nil) != (i == len(keys)) || i < len(keys) && record.TokenOf(r.Record) != tokens[i] {
				t.Errorf("%s: key %d: %q %v", when, i, r.Record, r.Err)
			}
		}
		for i := range keys { // each value is swapped for a new one
			op := add(keys[i])
			op.Verb, op.Expect = record.Swap, tokens[i]
			tokens[i] = record.TokenOf(op.Record)
			if e := bare.Write(t.Context(), []driver.Op{op})[0]; e.Outcome != driver.Done {
				t.Errorf("%s: swap of key %d: %v %q %v", when, i, e.Outcome, e.Found, e.Err)
			}
		}
		if n, err := bare.Count(t.Context(), "moving/v1/{tag}count", 1, time.Hour); err != nil || n < 1 {
			t.Errorf("%s: count: %d %v", when, n, err)
		}
	}
	check("before")
	m, err := c.BeginMigration(t.Context(), slot, to)
	servertest.Require(t, err)
	check("begun")
	for {
		moved, err := m.MoveKeys(t.Context(), 7)
		servertest.Require(t, err)
		if moved == 0 {
			break
		}
		for _, n := range []*server.Server{from, to} {
			servertest.Require(t, admin(t, n).ScriptFlush(t.Context()).Err())
		}
		check("half way")
	}
	servertest.Require(t, m.Finish(t.Context()))
	check("moved")
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// redisStore is the driver itself, whose keys are not escaped: so that several are in one slot.
func redisStore(t *testing.T, url string) interface {
	driver.Driver
	driver.Counter
} {
	t.Helper()
	return redis.OpenDriver(t, url, patient())
}

func TestScriptsThatMembersForgotAreSentAgainInPipelines(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, lasting())
	s := openStore(t, c.URL(), patient())
	for round := range 3 {
		for _, n := range c.Nodes() {
			if err := admin(t, n).ScriptFlush(t.Context()).Err(); err != nil && !strings.Contains(err.Error(), "READONLY") {
				t.Fatal(err)
			}
		}
		var ops []driver.Op
		for i := range 1200 {
			ops = append(ops, add(fmt.Sprintf("%d/%d", round, i%1000))) // the last meet the first
		}
		for i, e := range s.Write(t.Context(), ops...) {
			if e.Err != nil || (e.Outcome == driver.Done) != (i < 1000) || i >= 1000 && record.TokenOf(e.Found) != record.TokenOf(ops[i-1000].Record) {
				t.Fatalf("round %d op %d: %v %q %v", round, i, e.Outcome, e.Found, e.Err)
			}
		}
	}
}

func TestOnlyStaleReadsAskReplicas(t *testing.T) {
	t.Parallel()
	reads := func(t *testing.T, servers []*server.Server) (n int) {
		for _, s := range servers {
			counts := calls(t, s)
			for _, name := range []string{"get", "mget"} {
				var one int
				fmt.Sscan(counts[name], &one)
				n += one
			}
		}
		return n
	}
	for name, start := range map[string]func(t *testing.T) (url string, replicas []*server.Server, kill func(context.Context) error){
		"sentinel": func(t *testing.T) (string, []*server.Server, func(context.Context) error) {
			g := servertest.Sentinel(t, &server.SentinelOptions{DownAfter: time.Minute})
			return g.URL(), g.Nodes()[1:], func(context.Context) error { return g.Nodes()[0].Kill() }
		},
		"cluster": func(t *testing.T) (string, []*server.Server, func(context.Context) error) {
			c := servertest.RedisCluster(t, lasting())
			owners := map[*server.Server]bool{}
			for slot := 0; slot < server.Slots; slot += 500 {
				owner, err := c.Owner(t.Context(), slot)
				servertest.Require(t, err)
				owners[owner] = true
			}
			replicas := slices.DeleteFunc(c.Nodes(), func(s *server.Server) bool { return owners[s] })
			return c.URL(), replicas, func(context.Context) error {
				return slices.Collect(maps.Keys(owners))[0].Kill()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, replicas, kill := start(t)
			s := openStore(t, url+"?replica_reads=true", patient())
			keys := filled(t, s, 50)
			for range 5 {
				s.Get(t.Context(), keys...)
				s.Get(t.Context(), keys[0])
			}
			if n := reads(t, replicas); n != 0 {
				t.Errorf("Get asked replicas %d times", n)
			}
			// The replicas are known, and have all of it, after a moment: until then primaries answer.
			have := func() (found int) {
				for _, r := range s.GetStale(t.Context(), keys...) {
					if r.Err == nil && r.Record != nil {
						found++
					}
				}
				return found
			}
			for deadline := time.Now().Add(30 * time.Second); have() != len(keys) || reads(t, replicas) == 0; {
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d records found, replicas asked %d times", have(), len(keys), reads(t, replicas))
				}
			}
			servertest.Require(t, kill(t.Context()))
			failed := 0
			for _, r := range s.Get(t.Context(), keys...) {
				if r.Err != nil {
					failed++
				}
			}
			// Members of a young cluster do not all know of all replicas yet.
			got := have()
			for deadline := time.Now().Add(30 * time.Second); got != len(keys) && time.Now().Before(deadline); {
				got = have()
			}
			if failed == 0 || got != len(keys) {
				t.Errorf("without a primary Get failed for %d keys, and GetStale found %d of %d", failed, got, len(keys))
			}
		})
	}
}

func TestWithoutReplicaReadsStaleReadsAskThePrimary(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), patient())
	keys := filled(t, s, 3)
	for i, r := range s.GetStale(t.Context(), keys...) {
		if r.Err != nil || r.Record == nil {
			t.Errorf("key %d: %q %v", i, r.Record, r.Err)
		}
	}
}

func TestAMemberOfAClusterIsNoServerOfItsOwn(t *testing.T) {
	t.Parallel()
	c := servertest.SharedRedisCluster(t)
	s := openStore(t, "redis://"+c.Nodes()[0].Addr(), patient())
	var said bool
	for i := range 20 { // some of the keys are elsewhere
		err := s.Get(t.Context(), fmt.Sprint(i))[0].Err
		if err == nil {
			continue
		}
		if said = true; !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "redis-cluster://") {
			t.Errorf("%v", err)
		}
	}
	if !said {
		t.Error("no error")
	}
	alone := openStore(t, "redis-cluster://"+servertest.SharedRedis(t).Addr(), patient())
	if err := alone.Ping(t.Context()); !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "cluster support disabled") {
		t.Errorf("a server that is no member: %v", err)
	}
}

func TestEachMemberHasAnIdentityOfItsOwn(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedisCluster(t).URL(), patient())
	var mu sync.Mutex
	seen := map[string]map[string]bool{}
	servertest.Require(t, s.OnServer(func(name, identity string) {
		mu.Lock()
		defer mu.Unlock()
		if seen[name] == nil {
			seen[name] = map[string]bool{}
		}
		seen[name][identity] = true
	}))
	filled(t, s, 60)
	mu.Lock()
	defer mu.Unlock()
	all := map[string]bool{}
	for name, identities := range seen {
		if len(identities) != 1 {
			t.Errorf("%s: %v", name, identities)
		}
		maps.Copy(all, identities)
	}
	if len(seen) < 3 || len(all) != len(seen) { // replicas may have been asked who owns what
		t.Errorf("%v, want three servers or more", seen)
	}
}
