package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// openStore opens a store, a patient one if there are no options: a test that is not about time must not fail on a machine that is
// busy for a second.
func openStore(t testing.TB, url string, o *redis.Options) *backend.Store {
	t.Helper()
	if o == nil {
		o = patient()
	}
	s, err := redis.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func patient() *redis.Options { return &redis.Options{Timeout: 10 * time.Second} }

func add(key string) driver.Op {
	h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}
	return driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: record.New(h, []byte("body")), TTL: time.Hour}}
}

func TestOpenNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := redis.Open(t.Context(), "redis://user:sesame@localhost?timeot=1s&pool_size=none",
		&redis.Options{Timeout: -1, PoolSize: -2, ClientName: "a b", Username: "u"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Timeout", "PoolSize", "ClientName", "Password", "timeot", "pool_size"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("%q tells the password", err)
	}
}

func TestAllSchemesAreRegistered(t *testing.T) {
	t.Parallel()
	for _, scheme := range redisconn.Schemes() {
		if !slices.Contains(backend.Schemes(), scheme) {
			t.Errorf("%s is unknown", scheme)
		}
	}
	s, err := backend.Open(t.Context(), servertest.SharedRedis(t).URL()+"?timeout=9s")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAServerThatIsDownIsUnavailable(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	s := openStore(t, srv.URL(), nil)
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	if r := s.Get(t.Context(), "a")[0]; !errors.Is(r.Err, backend.ErrUnavailable) {
		t.Errorf("Get: %v", r.Err)
	}
	for i, e := range s.Write(t.Context(), add("a"), add("b")) {
		if e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrUnavailable) {
			t.Errorf("op %d: %v %v", i, e.Outcome, e.Err)
		}
	}
	for _, err := range []error{s.Ping(t.Context()), second(s.Stats(t.Context())), second(s.Count(t.Context(), "n", 1, time.Hour))} {
		if !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), srv.Addr()) {
			t.Errorf("%v does not name the server", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// hung returns a Store with connections to a server that has stopped answering.
func hung(t *testing.T, o *redis.Options) *backend.Store {
	t.Helper()
	srv := servertest.Redis(t)
	s := openStore(t, srv.URL(), o)
	for deadline := time.Now().Add(30 * time.Second); ; { // connections for pipelines, and the script; within a timeout that may be short
		err := s.Ping(t.Context())
		for _, e := range s.Write(t.Context(), add("x"), add("y")) {
			err = errors.Join(err, e.Err)
		}
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Resume(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAHungServerIsUnavailableWithinTheTimeout(t *testing.T) {
	t.Parallel()
	s := hung(t, &redis.Options{Timeout: 200 * time.Millisecond})
	var calls sync.WaitGroup
	begin := time.Now()
	for i := range 50 { // most of them queue
		calls.Go(func() {
			if r := s.Get(t.Context(), fmt.Sprint(i))[0]; !errors.Is(r.Err, backend.ErrUnavailable) {
				t.Errorf("Get: %q %v", r.Record, r.Err)
			}
		})
	}
	calls.Go(func() {
		ops := []driver.Op{add("a"), add("b"), add("a")}
		for i, e := range s.Write(t.Context(), ops...) {
			// The last would have followed the first; the others may have got no connection.
			ok := e.Outcome == driver.Unsent || i < 2 && e.Outcome == driver.Unknown
			if !ok || !errors.Is(e.Err, backend.ErrUnavailable) {
				t.Errorf("op %d: %v %v", i, e.Outcome, e.Err)
			}
		}
	})
	calls.Wait()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAContextEndsACallMidFlight(t *testing.T) {
	t.Parallel()
	s := hung(t, &redis.Options{Timeout: 5 * time.Second})
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc, error){
		"cancel": func(ctx context.Context) (context.Context, context.CancelFunc, error) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, cancel, context.Canceled
		},
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc, error) {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			return ctx, cancel, context.DeadlineExceeded
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls sync.WaitGroup
			call := func(what string, f func(ctx context.Context) error) {
				calls.Go(func() {
					ctx, cancel, want := end(t.Context())
					defer cancel()
					begin := time.Now()
					if err := f(ctx); err != want {
						t.Errorf("%s: %v, want %v itself", what, err, want)
					}
					if took := time.Since(begin); took > 2*time.Second {
						t.Errorf("%s took %v", what, took)
					}
				})
			}
			for range 8 {
				call("Get", func(ctx context.Context) error { return s.Get(ctx, "a")[0].Err })
			}
			call("Get of two", func(ctx context.Context) error { return s.Get(ctx, "a", "b")[1].Err })
			call("Write", func(ctx context.Context) error {
				e := s.Write(ctx, add("a"))[0]
				if e.Outcome != driver.Unknown {
					t.Errorf("Write: %v", e.Outcome)
				}
				return e.Err
			})
			call("Write of two", func(ctx context.Context) error { return s.Write(ctx, add("a"), add("b"))[1].Err })
			call("Count", func(ctx context.Context) error { return second(s.Count(ctx, "n", 1, time.Hour)) })
			call("Scan", func(ctx context.Context) error { return s.Scan(ctx, "", func([]string) bool { return true }) })
			call("Ping", s.Ping)
			calls.Wait()
		})
	}
}

func TestWhatEndedBeforeItBeganIsUnsent(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), patient())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := s.Write(ctx, add(servertest.Key(t)))[0]; e.Outcome != driver.Unsent || e.Err != context.Canceled {
		t.Errorf("%v %v", e.Outcome, e.Err)
	}
}

func TestOpsInOneWrite(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	s := openStore(t, srv.URL(), patient())
	var client *goredis.Client
	if !s.As(&client) {
		t.Fatal("no client")
	}
	for round := range 3 {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		var ops []driver.Op
		for i := range 600 {
			ops = append(ops, add(fmt.Sprintf("%d/%d", round, i%550))) // the last fifty meet the first
		}
		for i, e := range s.Write(t.Context(), ops...) {
			switch {
			case e.Err != nil, (e.Outcome == driver.Done) != (i < 550), i >= 550 && record.TokenOf(e.Found) != record.TokenOf(ops[i-550].Record):
				t.Fatalf("round %d op %d: %v %q %v", round, i, e.Outcome, e.Found, e.Err)
			}
		}
	}
}

func TestAWrongPasswordSaysSo(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t, &server.RedisOptions{Password: "right-horse"})
	open := servertest.SharedRedis(t)
	with := func(s *server.Server, user *url.Userinfo) string {
		return (&url.URL{Scheme: "redis", Host: s.Addr(), User: user}).String()
	}
	for name, c := range map[string]struct{ url, want string }{
		"wrong":          {with(srv, url.UserPassword("", "wrong-horse")), "refused the user or password"},
		"wrong user":     {with(srv, url.UserPassword("nobody", "right-horse")), "refused the user or password"},
		"none":           {with(srv, nil), "wants a password"},
		"no such number": {with(open, nil) + "/99", "no such database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, c.url, patient())
			e := s.Write(t.Context(), add("a"), add("b"))[1]
			one := s.Write(t.Context(), add("a"))[0]
			if e.Outcome != driver.Unsent || one.Outcome != driver.Unsent {
				t.Errorf("Write: %v and %v, want unsent", e.Outcome, one.Outcome)
			}
			for _, err := range []error{s.Get(t.Context(), "a")[0].Err, e.Err, one.Err, s.Ping(t.Context())} {
				if !errors.Is(err, backend.ErrUnavailable) {
					t.Errorf("%v is not ErrUnavailable", err)
					continue
				}
				if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "horse") {
					t.Errorf("%q, want %q", err, c.want)
				}
			}
			if strings.Contains(fmt.Sprintf("%v %+v", s, s), "horse") {
				t.Error("the Store tells its password")
			}
		})
	}
}

func TestServersThatCannotWriteDidNothing(t *testing.T) {
	t.Parallel()
	full := servertest.Redis(t, &server.RedisOptions{Args: []string{"--maxmemory", "1", "--maxmemory-policy", "noeviction"}})
	replica := servertest.Redis(t, &server.RedisOptions{})
	for name, c := range map[string]struct {
		srv  *server.Server
		want string
	}{"full": {full, "OOM"}, "replica": {replica, "READONLY"}} {
		s := openStore(t, c.srv.URL(), patient())
		if c.srv == replica {
			var client *goredis.Client
			s.As(&client)
			primary := servertest.Redis(t)
			host, port, _ := strings.Cut(primary.Addr(), ":")
			if err := client.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for i, e := range append(s.Write(t.Context(), add("a")), s.Write(t.Context(), add("a"), add("b"))...) {
			if e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrUnavailable) || !strings.Contains(e.Err.Error(), c.want) ||
				!strings.Contains(e.Err.Error(), c.srv.Addr()) {
				t.Errorf("%s: op %d: %v %v", name, i, e.Outcome, e.Err)
			}
		}
	}
}

func TestAForeignTypeIsAnError(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), patient())
	var client *goredis.Client
	s.As(&client)
	key := servertest.Key(t)
	if err := client.RPush(t.Context(), key, "x").Err(); err != nil {
		t.Fatal(err)
	}
	e := s.Write(t.Context(), add(key))[0]
	for _, err := range []error{e.Err, s.Get(t.Context(), key)[0].Err} {
		if err == nil || errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "something else than a record") {
			t.Errorf("%v", err)
		}
	}
	if e.Outcome != driver.Unsent {
		t.Errorf("outcome %v", e.Outcome)
	}
}

func TestAsGivesTheClients(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), patient())
	var client *goredis.Client
	var universal goredis.UniversalClient
	var conn *redisconn.Conn
	if !s.As(&client) || !s.As(&universal) || !s.As(&conn) || client == nil || universal == nil || conn == nil {
		t.Error("a listed target was refused")
	}
	var other *goredis.ClusterClient
	var none **goredis.Client
	if s.As(nil) || s.As(&other) || s.As(client) || s.As(none) {
		t.Error("a target that is not listed was taken")
	}
}

func TestTheServersIdentityChangesWithARestart(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t, &server.RedisOptions{Persist: true})
	s := openStore(t, srv.URL(), patient())
	var mu sync.Mutex
	seen := map[string]bool{}
	if err := s.OnServer(func(name, identity string) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(name, srv.Addr()) || strings.Contains(identity, "unknown") {
			t.Errorf("server %q, identity %q", name, identity)
		}
		seen[identity] = true
	}); err != nil {
		t.Fatal(err)
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	s.Get(t.Context(), "a")
	s.Write(t.Context(), add("a"), add("b"))
	if count() != 1 {
		t.Fatalf("identities %v", seen)
	}
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); s.Ping(t.Context()) != nil; { // stale connections fail first
		if time.Now().After(deadline) {
			t.Fatal("the store does not recover")
		}
	}
	if count() != 2 {
		t.Errorf("identities after a restart: %v", seen)
	}
}

func TestScanTakesThePrefixLiterally(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), patient())
	own := servertest.Key(t)
	keys := []string{own + "[a]*?\\^-1", own + "[a]*?\\^-2", own + "aXY", own + "[a]zz\\^-3", own + "\\[a]"}
	for _, k := range keys {
		if e := s.Write(t.Context(), add(k))[0]; e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	var got []string
	if err := s.Scan(t.Context(), own+"[a]*?\\^-", func(batch []string) bool { got = append(got, batch...); return true }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, keys[:2]) {
		t.Errorf("found %q", got)
	}
	if n, err := s.DeletePrefix(t.Context(), own); n < len(keys) || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}
