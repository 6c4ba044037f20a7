package memcached_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
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

func TestAWarmRestartOfOneOfThreeServesNothingOfBefore(t *testing.T) {
	t.Parallel()
	servers := []*server.Server{
		servertest.Memcached(t), servertest.Memcached(t),
		servertest.Memcached(t, &server.MemcachedOptions{WarmRestart: true}),
	}
	for name, r := range map[string]*register{"fixed": nil, "of a Membership": newRegister()} {
		o := memcached.Options{Timeout: 5 * time.Second, Pool: name}
		if r != nil {
			o.Membership, o.Lease = r, time.Minute
		}
		s := openWith(t, poolURL("", servers...), &o)
		all := keys(60)
		var pool *memcachedconn.Pool
		s.As(&pool)
		old := make(map[string]*memcache.Item) // what the server holds, as it is stored
		for _, key := range all {
			add(t, s, key, key, time.Hour)
			if owner := pool.Pick(key); owner.String() == servers[2].Addr() {
				err := owner.Read(t.Context(), func(session *memcachedconn.Session) error {
					items, err := session.Get(key)
					old[key] = items[0]
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(old) < 5 {
			t.Fatalf("%d of %d keys are on one of three servers", len(old), len(all))
		}
		pid := servers[2].Pid()
		if err := servers[2].Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if servers[2].Pid() == pid {
			t.Fatal("the same process")
		}
		var client *memcache.Client
		s.As(&client)
		for key, item := range old {
			eventually(t, "the server has its memory again", func() error {
				_, err := client.Get(item.Key)
				return err
			})
			if got := bodyAt(t, s, key); got != "" {
				t.Errorf("%s pool: %q is served from before the warm restart", name, got)
			}
		}
		// Put back by hand, over what is there and with the ids that it had.
		for key, item := range old {
			if err := client.Set(&memcache.Item{Key: item.Key, Value: item.Value}); err != nil {
				t.Fatal(err)
			}
			add(t, s, key, "new", time.Hour)
			if err := client.CompareAndSwap(item); err == nil {
				t.Errorf("the id of %s is that of before", key)
			}
			if got := bodyAt(t, s, key); got != "new" {
				t.Errorf("%s pool: %q is served after the old record was put back", name, got)
			}
		}
		for _, key := range all {
			want := key
			if old[key] != nil {
				want = "new"
			}
			if got := bodyAt(t, s, key); got != want {
				t.Errorf("%s pool: %q at %s, want %q", name, got, key, want)
			}
		}
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
	again := func() { // two ids
		if e := s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0]; e.Outcome != driver.Done {
			t.Fatal(e)
		}
		add(t, s, "k", "new", time.Hour)
		load()
	}
	add(t, s, "k", "old", time.Hour)
	for range 20 { // far from the ids that the first connections take
		again()
	}
	oldTag, oldID := tag, id
	// Give another record exactly the id that the old one had. Should another connection take it, start anew.
	var client *memcache.Client
	s.As(&client)
	for id = oldID + 1; id != oldID; {
		switch {
		case id > oldID:
			if err := srv.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			add(t, s, "k", "new", time.Hour)
			load()
		case (oldID-id)%2 == 1:
			eventually(t, "take one id", func() error { return client.Set(&memcache.Item{Key: "other"}) })
			again()
		default:
			again()
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

// A readHook is a connection that calls a function, once, when it has read a value and before anybody knows.
type readHook struct {
	net.Conn
	read *atomic.Pointer[func()]
}

func (c readHook) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bytes.Contains(b[:n], []byte("VALUE ")) {
		if f := c.read.Swap(nil); f != nil {
			(*f)()
		}
	}
	return n, err
}

func TestASwapThatARestartOvertakesDoesNotMeetItsRepeatedID(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	var hook atomic.Pointer[func()]
	s := openWith(t, poolURL("timeout=20s", srv), &memcached.Options{
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return readHook{c, &hook}, err
		},
	})
	ids := identities(t, s)
	token := add(t, s, "k", "old", time.Hour)
	old := stored(t, s, <-ids, "k")
	restart := func() {
		if err := srv.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		for id := uint64(0); id != old.CasID; {
			if id > old.CasID {
				t.Errorf("the id was %d before the restart and is %d after it already", old.CasID, id)
				return
			}
			if id > 0 {
				s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})
			}
			add(t, s, "k", "new", time.Hour)
			var pool *memcachedconn.Pool
			s.As(&pool)
			err := pool.Pick("k").Read(t.Context(), func(session *memcachedconn.Session) error {
				items, err := session.Get("k")
				if err == nil {
					id = items[0].CasID
				}
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	}
	hook.Store(&restart)
	b, _ := value("late", time.Hour)
	e := s.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Swap, Expect: token, Record: b, TTL: time.Hour}})[0]
	if hook.Load() != nil {
		t.Fatal("nothing was read")
	}
	if e.Outcome != driver.Refused {
		t.Errorf("the swap of the old record: %v, %v", e.Outcome, e.Err)
	}
	if got := bodyAt(t, s, "k"); got != "new" {
		t.Errorf("then %q is there", got)
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
