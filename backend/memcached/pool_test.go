package memcached_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestOpenNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := memcached.Open(t.Context(), "memcached://u%zz:secret@a:1,a:1,b:x?timeout=-1s&nonsense=1&item_size=7&pool=", &memcached.Options{Connections: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"percent-encoded", "a:1 is named twice", `server "b": its port`, "timeout=", `"nonsense"`, "item_size=", "pool=", "Options.Connections"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("shows the password: %v", err)
	}
	if _, err := backend.Open(t.Context(), "memcached://"); err == nil {
		t.Error("no server at all: no error")
	}
}

func TestTheOrderOfServersDoesNotMatter(t *testing.T) {
	t.Parallel()
	servers := own(t, 3)
	one := open(t, poolURL("", servers[0], servers[1], servers[2]))
	two := open(t, poolURL("", servers[2], servers[0], servers[1]))
	for _, key := range keys(100) {
		add(t, one, key, key, time.Hour)
		if got := bodyAt(t, two, key); got != key {
			t.Fatalf("at %q by the other order: %q", key, got)
		}
	}
	if one.String() != two.String() {
		t.Errorf("%v and %v", one, two)
	}
}

func TestADeadServerIsAnErrorForItsKeysOnly(t *testing.T) {
	t.Parallel()
	servers := own(t, 3)
	s := open(t, poolURL("", servers...))
	var pool *memcachedconn.Pool
	if !s.As(&pool) {
		t.Fatal("no pool")
	}
	all := keys(300)
	for _, key := range all {
		add(t, s, key, key, time.Hour)
	}
	if err := servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	dead := 0
	for i, r := range s.Get(t.Context(), all...) {
		if pool.Pick(all[i]).String() == servers[1].Addr() {
			dead++
			if !errors.Is(r.Err, backend.ErrUnavailable) || r.Record != nil {
				t.Fatalf("%q of the dead server: %v", all[i], r.Err)
			}
		} else if r.Err != nil || r.Record == nil {
			t.Fatalf("%q of a living server: %v", all[i], r.Err)
		}
	}
	if dead < 50 || dead > 150 {
		t.Errorf("%d of 300 keys belong to one of three servers", dead)
	}
	ops := make([]driver.Op, len(all))
	for i, key := range all {
		ops[i] = driver.Op{Key: key, Step: record.Step{Verb: record.Delete}}
	}
	for i, e := range s.Write(t.Context(), ops...) {
		if gone := pool.Pick(all[i]).String() == servers[1].Addr(); gone != (e.Outcome == driver.Unsent) {
			t.Fatalf("Delete at %q: %v, %v", all[i], e.Outcome, e.Err)
		}
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	err := s.Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), servers[1].Addr()) || strings.Contains(err.Error(), servers[0].Addr()) {
		t.Errorf("Ping: %v", err)
	}
}

func TestABatchCostsAPausedServerItsTimeoutOnce(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=300ms", srv))
	if err := pause(srv); err != nil {
		t.Fatal(err)
	}
	defer srv.Resume()
	begin := time.Now()
	all := keys(500)
	ops := make([]driver.Op, len(all))
	for i, key := range all {
		ops[i] = driver.Op{Key: key, Step: record.Step{Verb: record.Delete}}
	}
	for _, e := range s.Write(t.Context(), ops...) {
		if e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrUnavailable) {
			t.Fatalf("%v, %v", e.Outcome, e.Err)
		}
	}
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestCancellationEndsACallOnAPausedServer(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=20s", srv))
	add(t, s, "k", "v", time.Hour)
	if err := pause(srv); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"get":   func(ctx context.Context) error { return s.Get(ctx, "k")[0].Err },
		"count": func(ctx context.Context) error { _, err := s.Count(ctx, "n", 1, time.Hour); return err },
		"ping":  s.Ping,
		"write": func(ctx context.Context) error {
			return s.Write(ctx, driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0].Err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(30*time.Millisecond, cancel)
		begin := time.Now()
		if err := call(ctx); err != context.Canceled {
			t.Errorf("%s: %v, want the context's error as it is", name, err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s took %v", name, took)
		}
		timer.Stop()
	}
	if err := srv.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := bodyAt(t, s, "k"); got != "v" {
		t.Errorf("after it goes on: %q", got)
	}
}

func TestConnectionsAreCapped(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=10s&connections=4", srv))
	done := make(chan error)
	for range 64 {
		go func() { // ends after its calls, and is received below
			for range 50 {
				if r := s.Get(t.Context(), "k"); r[0].Err != nil {
					done <- r[0].Err
					return
				}
			}
			done <- nil
		}()
	}
	for range 64 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The listener counts as one, and a probe of servertest may not have ended.
	if got, err := strconv.Atoi(stats[srv.Addr()]["curr_connections"]); err != nil || got > 6 {
		t.Errorf("%d connections, at most 4 may be ours", got)
	}
}

func TestAHitReadsTheKeyAndTheNonceOnly(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=5s", srv))
	add(t, s, "k", "v", time.Hour)
	count := func(name string) int {
		stats, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(stats[srv.Addr()][name])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	gets, sets := count("cmd_get"), count("cmd_set")
	if got := bodyAt(t, s, "k"); got != "v" {
		t.Fatal(got)
	}
	// memcached counts the keys of a command.
	if gets, sets = count("cmd_get")-gets, count("cmd_set")-sets; gets != 2 || sets != 0 {
		t.Errorf("%d keys read and %d written, want 2 and 0", gets, sets)
	}
}

func TestReadsSurviveARestart(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=5s", srv))
	warm := func() (failed int) {
		var calls sync.WaitGroup
		var errs atomic.Int64
		for range 32 {
			calls.Go(func() {
				for _, r := range s.Get(t.Context(), keys(20)...) {
					if r.Err != nil {
						errs.Add(1)
					}
				}
			})
		}
		calls.Wait()
		return int(errs.Load())
	}
	warm()
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed := warm(); failed > 0 {
		t.Errorf("%d reads failed on dead connections", failed)
	}
}

func TestBurstsAtPeakConcurrencyMakeNoNewConnections(t *testing.T) {
	t.Parallel()
	const peak, bursts = 128, 100
	srv := own(t, 1)[0]
	s := open(t, poolURL("timeout=20s&connections=128", srv))
	add(t, s, "k", "v", time.Hour)
	for range bursts {
		var calls sync.WaitGroup
		for range peak {
			calls.Go(func() {
				if r := s.Get(t.Context(), "k")[0]; r.Err != nil || r.Record == nil {
					t.Errorf("%d bytes, %v", len(r.Record), r.Err)
				}
			})
		}
		calls.Wait()
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// As the server counts, with its listener and probes of servertest.
	if made, err := strconv.Atoi(stats[srv.Addr()]["total_connections"]); err != nil || made > peak+8 {
		t.Errorf("%d connections were made for %d bursts of %d calls", made, bursts, peak)
	}
}

func TestFewConnectionsAreMadeAtATime(t *testing.T) {
	t.Parallel()
	silent, err := wire.Listen(func(c net.Conn) { io.Copy(io.Discard, c) })
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := open(t, "memcached://"+silent.Addr()+"?timeout=500ms")
	var calls sync.WaitGroup
	for range 64 {
		calls.Go(func() {
			if err := s.Get(t.Context(), "k")[0].Err; !errors.Is(err, backend.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	// When the time is over, each that is given up makes room for another, whose time is over too, almost.
	if made := silent.Accepted(); made > 40 {
		t.Errorf("%d connections were made to a server that does not answer", made)
	}
}

func TestConnectionsThatWereForgottenOnTheWayCostOneTimeout(t *testing.T) {
	t.Parallel()
	p, err := wire.New(servertest.SharedMemcached(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s := open(t, "memcached://"+p.Addr()+"?timeout=1s")
	p.Set(wire.Fault{Delay: 20 * time.Millisecond}, wire.ToClient) // so that calls overlap
	eventually(t, "many connections", func() error {
		var calls sync.WaitGroup
		for range 32 {
			calls.Go(func() { s.Get(t.Context(), "k") })
		}
		calls.Wait()
		if p.Open() < 8 {
			return errors.New("few connections")
		}
		return nil
	})
	p.Set(wire.Fault{})
	p.CloseServers()
	failed := 0
	eventually(t, "a read", func() error {
		err := s.Get(t.Context(), "k")[0].Err
		if err != nil {
			failed++
		}
		return err
	})
	if failed > 2 {
		t.Errorf("%d calls waited for an answer in vain, one after the other", failed)
	}
}
