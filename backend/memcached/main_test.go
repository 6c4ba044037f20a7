package memcached_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// poolURL returns the URL of a pool of the servers.
func poolURL(query string, servers ...*server.Server) string {
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr()
	}
	return "memcached://" + strings.Join(addrs, ",") + "?" + query
}

func own(t testing.TB, n int, args ...string) []*server.Server {
	t.Helper()
	servers := make([]*server.Server, n)
	for i := range servers {
		servers[i] = servertest.Memcached(t, &server.MemcachedOptions{Args: args})
	}
	return servers
}

// open opens a Store that is closed at the end of the test.
func open(t testing.TB, url string) *backend.Store {
	t.Helper()
	return openWith(t, url, nil)
}

func value(body string, ttl time.Duration) ([]byte, record.Token) {
	token := record.NewToken()
	return record.New(record.Header{Kind: record.Value, Token: token, Expiry: time.Now().Add(ttl)}, []byte(body)), token
}

// add puts a value with body at key and returns its token.
func add(t testing.TB, s *backend.Store, key, body string, ttl time.Duration) record.Token {
	t.Helper()
	b, token := value(body, ttl)
	e := s.Write(t.Context(), driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: ttl}})[0]
	if e.Outcome != driver.Done {
		t.Fatalf("Add at %q: %v, found %d bytes, %v", key, e.Outcome, len(e.Found), e.Err)
	}
	return token
}

// bodyAt returns the body at key, "" for nothing.
func bodyAt(t testing.TB, s *backend.Store, key string) string {
	t.Helper()
	r := s.Get(t.Context(), key)[0]
	if r.Err != nil {
		t.Fatalf("Get %q: %v", key, r.Err)
	}
	if r.Record == nil {
		return ""
	}
	_, body, _ := record.Parse(r.Record)
	return string(body)
}

// eventually polls until f returns nil.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func keys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k/{%d}", i)
	}
	return keys
}

// pause stops a server and waits until all its threads have stopped: SIGSTOP does not.
func pause(s *server.Server) error {
	if err := s.Pause(); err != nil {
		return err
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	for answer := make([]byte, 64); ; {
		if _, err := conn.Write([]byte("version\r\n")); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := conn.Read(answer); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
