package hazelcast_test

import (
	"strings"
	"testing"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

func nativeMap(t *testing.T, s *backend.Store, name string) *hz.Map {
	t.Helper()
	var client *hz.Client
	eventually(t, "there is a client", func() bool { return s.As(&client) })
	m, err := client.GetMap(t.Context(), name)
	must(t, err)
	return m
}

func view(t *testing.T, m *hz.Map, key string) (ttl, expires time.Duration) {
	t.Helper()
	v, err := m.GetEntryView(t.Context(), key)
	must(t, err)
	if v == nil {
		t.Fatalf("nothing at %s", key)
	}
	return time.Duration(v.TTL) * time.Millisecond, time.Until(time.UnixMilli(v.ExpirationTime))
}

const forever = 100 * 365 * 24 * time.Hour

// The server's TTL is what frees memory: of an added record it is the record's own, of a swapped one the map's, by default
// none.
func TestServerTTL(t *testing.T) {
	t.Parallel()
	name := servertest.Key(t)
	at := servertest.SharedHazelcast(t).URL()
	serverTTL(t, openStore(t, at, &hazelcast.Options{Timeout: patience, Map: name}), name, 0)
}

// serverTTL tests a map whose configuration has a TTL, 0 for none.
func serverTTL(t *testing.T, s *backend.Store, name string, mapTTL time.Duration) {
	m := nativeMap(t, s, name)
	b, token := value("a", 1500*time.Millisecond)
	done := func(op driver.Op) {
		t.Helper()
		if e := s.Write(t.Context(), op)[0]; e.Outcome != driver.Done {
			t.Fatalf("%v: %v, %v", op.Verb, e.Outcome, e.Err)
		}
	}
	done(addOp("a", b, 1500*time.Millisecond))
	if ttl, left := view(t, m, "a"); ttl < 1500*time.Millisecond || ttl > 4*time.Second || left > 4*time.Second {
		t.Errorf("added for 1.5 s: the server's TTL is %v, %v left", ttl, left)
	}
	gone, _ := value("gone", time.Millisecond)
	done(addOp("gone", gone, time.Millisecond))
	next, _ := value("b", time.Hour)
	done(driver.Op{Key: "a", Step: record.Step{Verb: record.Swap, Expect: token, Record: next, TTL: time.Hour}})
	ttl, left := view(t, m, "a")
	t.Logf("swapped: TTL %v, %v left", ttl, left)
	if mapTTL == 0 && left < forever || mapTTL != 0 && (ttl != mapTTL || left > mapTTL) {
		t.Errorf("swapped: the server's TTL is %v, %v left; want %v (0: none)", ttl, left, mapTTL)
	}
	eventually(t, "what was only added is collected", func() bool {
		there, err := m.ContainsKey(t.Context(), "gone")
		return err == nil && !there
	})
	if mapTTL != 0 {
		eventually(t, "what was swapped is collected", func() bool {
			there, err := m.ContainsKey(t.Context(), "a")
			return err == nil && !there
		})
	}
}

// What has expired by its header but is still on the server is nothing to every verb, and is replaced by an Add.
func TestAddOverAnExpiredRecord(t *testing.T) {
	t.Parallel()
	name := servertest.Key(t)
	s := openStore(t, servertest.SharedHazelcast(t).URL(), &hazelcast.Options{Timeout: patience, Map: name})
	m := nativeMap(t, s, name)
	for _, old := range [][]byte{
		func() []byte { b, _ := value("old", -time.Minute); return b }(),
		[]byte("short"), {},
	} {
		must(t, m.Set(t.Context(), "a", old))
		if r := s.Get(t.Context(), "a")[0]; r.Record != nil || r.Err != nil {
			t.Errorf("%q: %q, %v", old, r.Record, r.Err)
		}
		b, token := value("new", time.Hour)
		if e := s.Write(t.Context(), addOp("a", b, time.Hour))[0]; e.Outcome != driver.Done {
			t.Errorf("Add over %q: %v, %v", old, e.Outcome, e.Err)
		}
		if r := s.Get(t.Context(), "a")[0]; record.TokenOf(r.Record) != token {
			t.Errorf("after the Add over %q there is %q, %v", old, r.Record, r.Err)
		}
	}
	must(t, m.Set(t.Context(), "a", "a string"))
	if r := s.Get(t.Context(), "a")[0]; r.Err == nil {
		t.Error("somebody else's string was read without an error")
	}
}

// guided checks that the members run with what docs/hazelcast.md says, and that a map's TTL collects what was swapped.
func (f *fleet) guided(t *testing.T) {
	s := openStore(t, f.url("timeout=30s"), nil)
	m := nativeMap(t, s, "strata-of-the-fleet")
	b, token := value("a", time.Hour)
	next, _ := value("b", time.Hour)
	for _, op := range []driver.Op{
		addOp("guided", b, time.Hour),
		{Key: "guided", Step: record.Step{Verb: record.Swap, Expect: token, Record: next, TTL: time.Hour}},
	} {
		if e := s.Write(t.Context(), op)[0]; e.Outcome != driver.Done {
			t.Fatalf("%v, %v", e.Outcome, e.Err)
		}
	}
	if ttl, left := view(t, m, "guided"); ttl != 24*time.Hour || left > 24*time.Hour || left < 23*time.Hour {
		t.Errorf("swapped: the server's TTL is %v, %v left; want that of the map, a day", ttl, left)
	}
	short := openStore(t, strings.Replace(f.url("timeout=30s"), "strata-of-the-fleet", "short", 1), nil)
	serverTTL(t, short, "short", 5*time.Second)
}
