package hazelcast_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestOpenNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := hazelcast.Open(t.Context(), "hazelcast://user:sesame@localhost?timeot=1s&map=",
		&hazelcast.Options{Timeout: -1, Concurrency: -2, MaxReply: -3, Password: "open"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Timeout", "Concurrency", "MaxReply", "Username", "timeot", "map is empty"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "open") {
		t.Errorf("%q tells a password", err)
	}
}

func TestTheSchemeIsRegistered(t *testing.T) {
	t.Parallel()
	s, err := backend.Open(t.Context(), onMap(t, servertest.SharedHazelcast(t).URL())+"&timeout=30s")
	must(t, err)
	defer s.Close()
	must(t, s.Ping(t.Context()))
	var conn *hazelcastconn.Conn
	if !s.As(&conn) || conn.MapName() == hazelcastconn.DefaultMap {
		t.Error("the connection for a bus is not handed out")
	}
	stats, err := s.Stats(t.Context())
	must(t, err)
	if stats["cluster"]["members"] != "1" || len(stats) != 2 {
		t.Errorf("stats: %v", stats)
	}
}

// The query language of the server has wildcards, and no way to write a backslash before one.
func TestScanTakesNoByteForAWildcard(t *testing.T) {
	t.Parallel()
	s := openStore(t, onMap(t, servertest.SharedHazelcast(t).URL()), &hazelcast.Options{Timeout: patience})
	b, _ := value("b", time.Hour)
	odd := []string{`%`, `_`, `\`, `\\`, `\%`, `\_`, `%_`, `\E`, `\Q`, `.*`, `^`, `$`, `'`, `"`, `[a]`, `*`, `?`, `~`, `ä`, ` `, "\n", "a"}
	var ops []driver.Op
	for _, k := range odd {
		ops = append(ops, addOp(k+"1", b, time.Hour), addOp(k+"2", b, time.Hour))
	}
	for i := range 2500 {
		ops = append(ops, addOp(fmt.Sprint("many/", i), b, time.Hour))
	}
	for i, e := range s.Write(t.Context(), ops...) {
		if e.Outcome != driver.Done {
			t.Fatalf("%q: %v, %v", ops[i].Key, e.Outcome, e.Err)
		}
	}
	found := func(prefix string) (keys map[string]bool, batches int) {
		keys = map[string]bool{}
		must(t, s.Scan(t.Context(), prefix, func(batch []string) bool {
			batches++
			for _, k := range batch {
				keys[k] = true
			}
			return true
		}))
		return keys, batches
	}
	for _, prefix := range odd {
		wanted := map[string]bool{}
		for _, op := range ops {
			if strings.HasPrefix(op.Key, prefix) {
				wanted[op.Key] = true
			}
		}
		if got, _ := found(prefix); !maps.Equal(got, wanted) {
			t.Errorf("prefix %q: %q, want %q", prefix, slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(wanted)))
		}
	}
	if got, batches := found("many/"); len(got) != 2500 || batches != 3 {
		t.Errorf("%d keys in %d batches", len(got), batches)
	}
}
