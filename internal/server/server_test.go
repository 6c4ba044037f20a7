//go:build unix

package server_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// ask sends one line and returns the first line of the answer.
func ask(s *server.Server, line string, within time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp4", s.Addr(), within)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	return askOn(conn, line)
}

// askOn is ask on a connection that is there.
func askOn(conn net.Conn, line string) (string, error) {
	if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(got), err
}

func expect(t *testing.T, s *server.Server, line, want string) {
	t.Helper()
	if got, err := ask(s, line, 5*time.Second); err != nil || got != want {
		t.Errorf("%s: answer %q, error %v; want %q", line, got, err, want)
	}
}

func restart(t *testing.T, s *server.Server) {
	t.Helper()
	if err := s.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestRedisLivesItsWholeLife(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	life(t, s, "redis://", "PING", "+PONG")
}

func TestMemcachedLivesItsWholeLife(t *testing.T) {
	t.Parallel()
	s := servertest.Memcached(t)
	life(t, s, "memcached://", "mn", "MN")
}

// life takes a server through everything that a Server can do.
func life(t *testing.T, s *server.Server, scheme, question, answer string) {
	t.Helper()
	url, pid := s.URL(), s.Pid()
	if url != scheme+s.Addr() || pid == 0 {
		t.Fatalf("URL %q, address %q, pid %d", url, s.Addr(), pid)
	}
	expect(t, s, question, answer)

	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	var netErr net.Error
	if _, err := ask(s, question, 100*time.Millisecond); !errors.As(err, &netErr) || !netErr.Timeout() {
		t.Errorf("a paused server answered, or refused: error %v", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	expect(t, s, question, answer)

	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) || s.Pid() != 0 {
		t.Errorf("process %d lives after Kill; Pid() is %d", pid, s.Pid())
	}
	if _, err := ask(s, question, time.Second); err == nil {
		t.Error("a killed server answered")
	}
	for name, call := range map[string]func() error{"Kill": s.Kill, "Pause": s.Pause, "Resume": s.Resume} {
		if err := call(); !errors.Is(err, server.ErrNotRunning) {
			t.Errorf("%s of a killed server: %v", name, err)
		}
	}

	restart(t, s)
	if s.URL() != url || s.Pid() == pid || s.Pid() == 0 {
		t.Errorf("after the restart: URL %q (was %q), pid %d (was %d)", s.URL(), url, s.Pid(), pid)
	}
	expect(t, s, question, answer)

	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	pid = s.Pid()
	if err := s.Stop(); err != nil { // a paused server stops in order, too
		t.Error(err)
	}
	if err := s.Stop(); err != nil || alive(pid) {
		t.Errorf("second Stop: %v; alive: %v", err, alive(pid))
	}
	restart(t, s)
	pid = s.Pid()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if alive(pid) {
		t.Errorf("process %d lives after Close", pid)
	}
	if err := s.Restart(context.Background()); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Restart after Close: %v", err)
	}
}

func TestRedisLosesItsDataInARestart(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	expect(t, s, "SET k v", "+OK")
	restart(t, s)
	expect(t, s, "GET k", "$-1")
}

func TestRedisThatPersistsKeepsItsDataThroughAKill(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t, &server.RedisOptions{Persist: true})
	expect(t, s, "SET k v", "+OK")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	expect(t, s, "GET k", "$1")
}

func TestRedisAsksForThePassword(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t, &server.RedisOptions{Password: "s3cret"})
	if want := "redis://:s3cret@" + s.Addr(); s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	if got, err := ask(s, "PING", 5*time.Second); err != nil || !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("PING without the password: %q, %v", got, err)
	}
}

func TestHazelcastRestartsOnItsPort(t *testing.T) {
	t.Parallel()
	s := servertest.Hazelcast(t, &server.HazelcastOptions{Cluster: "a b"})
	if want := "hazelcast://" + s.Addr() + "?cluster=a+b"; s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	pid := s.Pid()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Errorf("process %d lives after Kill", pid)
	}
	restart(t, s)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestHazelcastMembersFormOneCluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("two JVMs")
	}
	members := servertest.HazelcastCluster(t, 2, &server.HazelcastOptions{Backups: 1, MapTTL: time.Minute})
	if server.Log(members[1]) == "" || !strings.Contains(server.Log(members[1]), "Members {size:2") {
		t.Errorf("the second member did not join:\n%s", server.Log(members[1]))
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := server.Redis(ctx, nil)
	var missing *server.MissingError
	if errors.As(err, &missing) {
		servertest.Require(t, err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestATakenPortIsAnErrorWithTheServersWords(t *testing.T) {
	t.Parallel()
	taken := servertest.Redis(t)
	_, port, err := net.SplitHostPort(taken.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	// The Redis that has the port answers the readiness questions: it must not be taken for the new one.
	_, err = server.Redis(context.Background(), &server.RedisOptions{Port: number})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v", err)
	}
}

func TestLifecycleCallsMayBeConcurrent(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() { _ = s.Restart(context.Background()) })
		calls.Go(func() { _ = s.Kill() })
		calls.Go(func() { _ = s.Pause(); _ = s.Resume() })
		calls.Go(func() { _ = s.Pid() })
	}
	calls.Wait()
	restart(t, s)
	expect(t, s, "PING", "+PONG")
}

func TestAMissingBinaryNamesTheCommandThatInstallsIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for kind, want := range map[string]string{"redis": "redis", "memcached": "memcached", "hazelcast": "java"} {
		_, err := kinds[kind](context.Background())
		var missing *server.MissingError
		if !errors.As(err, &missing) || missing.Component != want || !strings.Contains(err.Error(), "scripts/setup "+want) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

func TestAMissingJarNamesTheCommandThatInstallsIt(t *testing.T) {
	t.Setenv(server.EnvHazelcastJar, filepath.Join(t.TempDir(), "none.jar"))
	_, err := server.Hazelcast(context.Background(), nil)
	var missing *server.MissingError
	if errors.As(err, &missing) && missing.Component == "java" {
		servertest.Require(t, err)
	}
	if !errors.As(err, &missing) || missing.Component != "hazelcast" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestAnAttachedServerIsNotOurs(t *testing.T) {
	t.Parallel()
	s, err := server.Attach("hazelcast://127.0.0.1:5701?cluster=dev")
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr() != "127.0.0.1:5701" || s.URL() != "hazelcast://127.0.0.1:5701?cluster=dev" || s.Pid() != 0 {
		t.Errorf("address %q, URL %q, pid %d", s.Addr(), s.URL(), s.Pid())
	}
	if err := s.Kill(); !errors.Is(err, server.ErrNotOwned) {
		t.Errorf("Kill: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "127.0.0.1:1", "redis://", "redis://%zz"} {
		if _, err := server.Attach(bad); err == nil {
			t.Errorf("Attach(%q) did not fail", bad)
		}
	}
}

func TestBadOptionsAreErrors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, start := range map[string]func() (*server.Server, error){
		"MemoryMB": func() (*server.Server, error) {
			return server.Memcached(ctx, &server.MemcachedOptions{MemoryMB: -1})
		},
		"MapTTL": func() (*server.Server, error) {
			return server.Hazelcast(ctx, &server.HazelcastOptions{MapTTL: time.Millisecond})
		},
		"Backups": func() (*server.Server, error) {
			return server.Hazelcast(ctx, &server.HazelcastOptions{Backups: 7})
		},
		"ClientPort": func() (*server.Server, error) {
			return server.Hazelcast(ctx, &server.HazelcastOptions{Port: 1, PublicAddress: "127.0.0.1:2"})
		},
	} {
		if _, err := start(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
