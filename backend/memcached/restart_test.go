package memcached_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

// stored returns what a server holds at a key as it is stored, read past the driver.
func stored(t *testing.T, s *backend.Store, tag, key string) *memcache.Item {
	t.Helper()
	var client *memcache.Client
	if !s.As(&client) {
		t.Fatal("no native client")
	}
	item, err := client.Get(tag + ":" + key)
	if err != nil {
		return nil
	}
	return item
}

func identities(t *testing.T, s *backend.Store) <-chan string {
	t.Helper()
	ids := make(chan string, 1000)
	if err := s.OnServer(func(_, id string) { ids <- id }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestRecordsOfAnEarlierIncarnationAreNeverRead(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=5s", srv))
	ids := identities(t, s)
	add(t, s, "k", "old", time.Hour)
	before := <-ids
	old := stored(t, s, before, "k")
	if old == nil {
		t.Fatalf("the record is not at the key of incarnation %s", before)
	}
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := bodyAt(t, s, "k"); got != "" {
		t.Fatalf("after the restart: %q", got)
	}
	after := <-ids
	if after == before {
		t.Fatalf("the incarnation is %s before and after", after)
	}

	// An old server's data comes back, and a fill begun before the restart lands.
	var client *memcache.Client
	s.As(&client)
	eventually(t, "put the old record back", func() error { // the native client has a dead connection
		return client.Set(&memcache.Item{Key: old.Key, Value: old.Value})
	})
	if got := bodyAt(t, s, "k"); got != "" {
		t.Fatalf("what comes back under the old key is read: %q", got)
	}
	add(t, s, "k", "new", time.Hour)
	if err := client.CompareAndSwap(&memcache.Item{Key: old.Key, Value: old.Value, CasID: old.CasID}); err != nil {
		t.Logf("the old fill: %v", err)
	}
	if got := bodyAt(t, s, "k"); got != "new" {
		t.Fatalf("after the old fill: %q", got)
	}
}

func TestACompareAndSwapDoesNotCrossARestart(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=5s", srv))
	var pool *memcachedconn.Pool
	s.As(&pool)
	var tag string
	var id uint64
	load := func() {
		err := pool.Pick("k").Read(t.Context(), func(session *memcachedconn.Session) error {
			items, err := session.Get("k")
			if err == nil {
				tag, id = session.Incarnation(), items[0].CasID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, "k", "old", time.Hour)
	load()
	oldTag, oldID := tag, id
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Give another record exactly the id that the old one had.
	for i := 0; ; i++ {
		token := add(t, s, "k", "new", time.Hour)
		load()
		if id == oldID {
			break
		}
		if id > oldID {
			t.Skipf("ids: %d before the restart, already %d after it", oldID, id)
		}
		e := s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Remove, Expect: token}})[0]
		if e.Outcome != driver.Done {
			t.Fatal(e)
		}
	}
	b, _ := value("late", time.Hour)
	_, err := pool.Pick("k").Do(t.Context(), func(session *memcachedconn.Session) error {
		if session.Incarnation() == oldTag {
			t.Error("the incarnation is the same after a restart")
		}
		return session.Client().CompareAndSwap(&memcache.Item{Key: oldTag + ":k", Value: b, CasID: oldID})
	})
	if err != memcache.ErrCacheMiss {
		t.Errorf("the late swap: %v, want that it meets nothing", err)
	}
	if got := bodyAt(t, s, "k"); got != "new" {
		t.Errorf("after the late swap: %q", got)
	}
}

func TestFlushAllIsANewIncarnationForAllNodes(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	one, two := open(t, poolURL("timeout=5s", srv)), open(t, poolURL("timeout=5s", srv))
	add(t, one, "k", "old", time.Hour)
	if got := bodyAt(t, two, "k"); got != "old" {
		t.Fatal(got)
	}
	var client *memcache.Client
	one.As(&client)
	if err := client.FlushAll(); err != nil {
		t.Fatal(err)
	}
	// The one whose connection is from before must meet the other, whose connection may be new.
	three := open(t, poolURL("timeout=5s", srv))
	add(t, three, "k", "new", time.Hour)
	for name, s := range map[string]*backend.Store{"one": one, "two": two} {
		if got := bodyAt(t, s, "k"); got != "new" {
			t.Errorf("node %s reads %q after flush_all", name, got)
		}
	}
	if n, err := two.Count(t.Context(), "n", 1, time.Hour); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestADeletedNonceDoesNotSplitTheNodes(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	one, two := open(t, poolURL("timeout=5s", srv)), open(t, poolURL("timeout=5s", srv))
	add(t, one, "k", "old", time.Hour)
	add(t, two, "other", "", time.Hour)
	var client *memcache.Client
	one.As(&client)
	if err := client.Delete(memcachedconn.NonceKey); err != nil {
		t.Fatal(err)
	}
	e := one.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0]
	if e.Outcome != driver.Done {
		t.Fatal(e)
	}
	if got := bodyAt(t, two, "k"); got != "" {
		t.Errorf("a node with an old connection reads %q, which was deleted", got)
	}
}

func TestANodeThatCannotAgreeOnTheNonceSaysSo(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=5s", srv))
	var client *memcache.Client
	s.As(&client)
	if err := client.Set(&memcache.Item{Key: memcachedconn.NonceKey, Value: []byte("somebody else's!")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Get(t.Context(), "k")[0].Err; err == nil || !strings.Contains(err.Error(), memcachedconn.NonceKey) {
		t.Errorf("Get: %v", err)
	}
}
