package tier_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

const soft = time.Minute

// softFleet makes three nodes that hold the stale value "old" of key 1, while the source has "new".
func softFleet(t *testing.T, do func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache)) {
	synctest.Test(t, func(t *testing.T) {
		env, s := tiertest.New(t), sourceOf(map[int]string{1: "old"})
		var nodes []*cache
		for range 3 {
			nodes = append(nodes, tiertest.Node(t, env, "c", &options{Policy: aside(s), SoftTTL: soft, TTL: time.Hour, MaxStaleness: time.Minute}))
		}
		time.Sleep(time.Second) // of the bubble
		for _, n := range nodes {
			want(t, n, 1, "old")
		}
		s.Put(1, "new")
		time.Sleep(soft)
		do(t, env, s, nodes)
	})
}

// all reads key 1 on each node, and lets what begins behind go on as far as it can.
func all(t *testing.T, nodes []*cache, v string) {
	t.Helper()
	for _, n := range nodes {
		want(t, n, 1, v)
	}
	synctest.Wait()
}

// litter reports whether somebody is elected to refresh key 1.
func litter(t *testing.T, env *tiertest.Env) bool {
	t.Helper()
	found := env.Store.Get(t.Context(), "c/1/{1}/refresh")[0]
	if found.Err != nil {
		t.Fatal(found.Err)
	}
	return found.Record != nil
}

func TestOneNodeOfTheFleetRefreshesAStaleValue(t *testing.T) {
	t.Parallel()
	softFleet(t, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
		release := s.Block()
		reads, writes := env.Remote.Reads(), env.Remote.Writes()
		all(t, nodes, "old")
		if r, w := env.Remote.Reads()-reads, env.Remote.Writes()-writes; r != 3 || w != 3 {
			t.Errorf("%d reads and %d writes to elect one of three", r, w)
		}
		for range 20 { // longer than a lease lasts, as the load goes on
			time.Sleep(time.Second)
			all(t, nodes, "old")
		}
		if n := s.Loads(); n != 2 {
			t.Errorf("%d loads, want the first and one behind", n)
		}
		writes = env.Remote.Writes()
		release()
		synctest.Wait()
		if w := env.Remote.Writes() - writes; w != 1 {
			t.Errorf("%d writes to store the value and to resign", w)
		}
		time.Sleep(2 * time.Second)
		for _, n := range nodes { // who was not elected holds the old value, and finds the new one behind
			if _, err := n.Get(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		all(t, nodes, "new")
		if n := s.Loads(); n != 2 {
			t.Errorf("%d loads", n)
		}
		if litter(t, env) {
			t.Error("somebody is still elected")
		}
	})
}

func TestWithoutAnElectionEveryNodeRefreshes(t *testing.T) { // not parallel: it switches a mechanism off
	defer weaken.Switch(weaken.RefreshElection)()
	softFleet(t, func(t *testing.T, _ *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
		release := s.Block()
		all(t, nodes, "old")
		if n := s.Loads(); n != 4 {
			t.Errorf("%d loads, want the first and one for each node", n)
		}
		release()
	})
}

func TestADeadRefresherIsReplacedAfterLeaseTTL(t *testing.T) {
	t.Parallel()
	softFleet(t, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
		lease := record.New(record.Header{Kind: record.Lease, Token: record.NewToken(), Expiry: time.Now().Add(5 * time.Second)}, nil)
		op := driver.Op{Key: "c/1/{1}/refresh", Step: record.Step{Verb: record.Add, Record: lease, TTL: 5 * time.Second}}
		if e := env.Store.Write(t.Context(), op)[0]; e.Outcome != driver.Done {
			t.Fatal(e.Outcome, e.Err)
		}
		for range 4 {
			all(t, nodes, "old")
			time.Sleep(time.Second)
		}
		if n := s.Loads(); n != 1 {
			t.Fatalf("%d loads while another node is elected", n)
		}
		time.Sleep(2 * time.Second)
		all(t, nodes, "old")
		if n := s.Loads(); n != 2 {
			t.Errorf("%d loads, want one after the lease ended", n)
		}
	})
}

func TestARefreshThatFailsIsTriedOnceALeaseTTLByTheFleet(t *testing.T) {
	t.Parallel()
	softFleet(t, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
		s.Fail(errors.New("source down"))
		for range 200 {
			all(t, nodes, "old")
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.Loads() - 1; n < 3 || n > 5 {
			t.Errorf("%d loads in 20 s", n)
		}
		s.Fail(nil)
		for range 7 {
			for _, n := range nodes {
				if _, err := n.Get(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		}
		all(t, nodes, "new")
		if litter(t, env) {
			t.Error("somebody is still elected")
		}
	})
}

func TestANodeThatClosesWhileItRefreshesResigns(t *testing.T) {
	t.Parallel()
	softFleet(t, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
		release := s.Block()
		all(t, nodes[:1], "old")
		if !litter(t, env) {
			t.Fatal("nobody is elected")
		}
		must(t, nodes[0].Close())
		if litter(t, env) {
			t.Error("a node that is closed is still elected")
		}
		release()
	})
}

func TestARefreshOnlyReplacesTheRecordThatItRead(t *testing.T) { // not parallel: it switches a mechanism off
	for _, weakened := range []bool{false, true} {
		t.Run(fmt.Sprintf("weakened=%v", weakened), func(t *testing.T) {
			if weakened {
				defer weaken.Switch(weaken.SoftCAS)()
			}
			softFleet(t, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], nodes []*cache) {
				release := s.Block()
				all(t, nodes[:1], "old")
				env.Hub.Pause() // the refreshing node does not hear of it
				must(t, nodes[1].Set(t.Context(), 1, "newest"))
				release()
				synctest.Wait()
				v, err := nodes[2].Get(t.Context(), 1, tier.Fresh())
				if old := v != "newest" || err != nil; old != weakened {
					t.Errorf("the remote tier has %q, %v", v, err)
				}
			})
		})
	}
}

func TestNoKeyOfAUserIsARefreshKey(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	keys := []string{"a", "a}/refresh", "a/refresh", "a}/refresh}", "a%7D/refresh", ""}
	c := tiertest.Node[string, string](t, env, "c", nil)
	for _, k := range keys {
		must(t, c.Set(t.Context(), k, k))
	}
	var stored []string
	must(t, env.Store.Scan(t.Context(), "c/1/{", func(batch []string) bool {
		stored = append(stored, batch...)
		return true
	}))
	if len(stored) != len(keys) {
		t.Errorf("%d keys are stored as %q", len(keys), stored)
	}
	for _, k := range stored {
		if slices.Contains(stored, k+"/refresh") {
			t.Errorf("%q is the refresh key of %q", k+"/refresh", k)
		}
	}
}
