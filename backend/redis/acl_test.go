package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// documented returns the rules of the n-th ACL SETUSER in docs/redis.md, without the user's name and password.
func documented(t testing.TB, n int) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "ACL SETUSER strata")
	if len(parts) <= n+1 {
		t.Fatal("docs/redis.md has no such user")
	}
	rules, _, _ := strings.Cut(parts[n+1], "```")
	return slices.DeleteFunc(strings.Fields(rules), func(r string) bool { return r == "on" || strings.HasPrefix(r, ">") })
}

const (
	storeUser = iota
	busUser
	clusterUser
)

// admin is a client that may do everything, of each server.
func admin(t testing.TB, s *server.Server) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr(), MaintNotificationsConfig: quiet()})
	t.Cleanup(func() { c.Close() })
	return c
}

// setUser gives every server a user, and returns the URL with it.
func setUser(t testing.TB, url, name string, rules []string, servers ...*server.Server) string {
	t.Helper()
	for _, s := range servers {
		args := []any{"ACL", "SETUSER", name, "reset", "on", ">open sesame"}
		for _, r := range rules {
			args = append(args, r)
		}
		if err := admin(t, s).Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Replace(url, "://", "://"+name+":open%20sesame@", 1)
}

func TestTheDocumentedUserSufficesForTheStore(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	url := setUser(t, s.URL(), "app", documented(t, storeUser), s)
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		h := harness(s, patient())
		h.Open = func(t *testing.T) *backend.Store { return opened(t, url, patient()) }
		return h
	})
}

func opened(t *testing.T, url string, o *redis.Options) *backend.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// needs are what each permission of the store's user is for.
var needs = map[string]func(ctx context.Context, s *backend.Store, key string) error{
	"get":     func(ctx context.Context, s *backend.Store, key string) error { return s.Get(ctx, key)[0].Err },
	"mget":    nil, // see TestWithoutMGETKeysAreReadOneByOne
	"set":     write,
	"del":     remove,
	"time":    write,
	"evalsha": write,
	"eval":    write,
	"incrby":  count,
	"pexpire": count,
	"scan": func(ctx context.Context, s *backend.Store, key string) error {
		return s.Scan(ctx, key, func([]string) bool { return true })
	},
	"ping":           func(ctx context.Context, s *backend.Store, _ string) error { return s.Ping(ctx) },
	"info":           func(ctx context.Context, s *backend.Store, _ string) error { return second(s.Stats(ctx)) },
	"client|setname": func(ctx context.Context, s *backend.Store, key string) error { return s.Get(ctx, key)[0].Err },
}

func write(ctx context.Context, s *backend.Store, key string) error {
	return unsent(s.Write(ctx, add(key+"new"))[0])
}

func remove(ctx context.Context, s *backend.Store, key string) error {
	return unsent(s.Write(ctx, deletion(key))[0])
}

func count(ctx context.Context, s *backend.Store, key string) error {
	return second(s.Count(ctx, key+"n", 1, time.Hour))
}

// unsent is the error of an op that must not have done anything.
func unsent(e driver.Effect) error {
	if e.Err != nil && e.Outcome != driver.Unsent {
		return fmt.Errorf("outcome %v, want unsent: %w", e.Outcome, errors.New(e.Err.Error()))
	}
	return e.Err
}

func TestAMissingPermissionNamesItself(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	rules := documented(t, storeUser)
	for _, rule := range rules {
		permission, ok := strings.CutPrefix(rule, "+")
		if !ok {
			continue
		}
		use, known := needs[permission]
		if !known {
			t.Errorf("the test does not know what %s is for", permission)
		}
		if use == nil {
			continue
		}
		t.Run(permission, func(t *testing.T) {
			t.Parallel()
			without := slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == rule })
			name := "no-" + strings.ReplaceAll(permission, "|", "-")
			key := servertest.Key(t)
			full := openStore(t, s.URL(), patient())
			full.Write(t.Context(), add(key))
			if permission == "eval" { // it is sent in full only to a server that lacks it
				own := servertest.Redis(t)
				denied(t, openStore(t, setUser(t, own.URL(), name, without, own), patient()), use, key, name, permission, own)
				return
			}
			denied(t, openStore(t, setUser(t, s.URL(), name, without, s), patient()), use, key, name, permission, s)
		})
	}
}

// denied checks that use fails, and how.
func denied(t *testing.T, store *backend.Store, use func(context.Context, *backend.Store, string) error, key, user, permission string, s *server.Server) {
	t.Helper()
	err := use(t.Context(), store, key)
	if !errors.Is(err, backend.ErrDenied) || errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrUnsupported) {
		t.Fatalf("%v, want ErrDenied alone", err)
	}
	for _, want := range []string{permission, user, s.Addr()} {
		if !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("%q tells the password", err)
	}
}

func TestKeysThatAUserMayNotReadFailAlone(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	rules := documented(t, storeUser)
	rules[slices.Index(rules, "~*")] = "~mine*"
	store := openStore(t, setUser(t, s.URL(), "app", rules, s), patient())
	root := openStore(t, s.URL(), patient())
	for _, key := range []string{"mine/1", "theirs", "mine/2"} {
		if e := root.Write(t.Context(), add(key))[0]; e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	read := func(t *testing.T) {
		for i, r := range store.Get(t.Context(), "mine/1", "theirs", "mine/2", "mine/none") {
			wantErr, wantRecord := i == 1, i == 0 || i == 2
			if errors.Is(r.Err, backend.ErrDenied) != wantErr || (r.Err != nil) != wantErr || (r.Record != nil) != wantRecord {
				t.Errorf("key %d: %q, %v", i, r.Record, r.Err)
			}
		}
	}
	read(t)
	for i, e := range store.Write(t.Context(), add("mine/a"), add("theirs/a"), add("mine/b")) {
		if (e.Outcome == driver.Done) != (i != 1) || i == 1 && (e.Outcome != driver.Unsent || !errors.Is(e.Err, backend.ErrDenied)) {
			t.Errorf("op %d: %v %v", i, e.Outcome, e.Err)
		}
	}
}

func TestWithoutMGETKeysAreReadOneByOne(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	rules := slices.DeleteFunc(documented(t, storeUser), func(r string) bool { return r == "+mget" })
	store := openStore(t, setUser(t, s.URL(), "app", rules, s), patient())
	if e := store.Write(t.Context(), add("a"))[0]; e.Err != nil {
		t.Fatal(e.Err)
	}
	if got := store.Get(t.Context(), "a", "b"); got[0].Record == nil || got[0].Err != nil || got[1].Record != nil || got[1].Err != nil {
		t.Errorf("%v, want a record and nothing", got)
	}
}

func TestTheDocumentedUsersSufficeInACluster(t *testing.T) {
	t.Parallel()
	c := servertest.SharedRedisCluster(t)
	rules := append(documented(t, storeUser), documented(t, clusterUser)...)
	url := setUser(t, c.URL(), "app", rules, c.Nodes()...)
	store := openStore(t, url, patient())
	own := servertest.Key(t)
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprint(own, i))
		if e := store.Write(t.Context(), add(keys[i]))[0]; e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	for i, r := range store.Get(t.Context(), keys...) {
		if r.Err != nil || r.Record == nil {
			t.Errorf("key %d: %q, %v", i, r.Record, r.Err)
		}
	}
	without := slices.DeleteFunc(rules, func(r string) bool { return r == "+cluster|slots" })
	lost := openStore(t, setUser(t, c.URL(), "no-slots", without, c.Nodes()...), patient())
	err := lost.Get(t.Context(), "a")[0].Err
	if !errors.Is(err, backend.ErrDenied) || !strings.Contains(err.Error(), "cluster|slots") || !strings.Contains(err.Error(), "no-slots") {
		t.Errorf("without cluster|slots: %v", err)
	}
}

func deletion(key string) driver.Op {
	return driver.Op{Key: key, Step: record.Step{Verb: record.Delete}}
}

// quiet keeps the library from asking the server for more than a test wants.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
