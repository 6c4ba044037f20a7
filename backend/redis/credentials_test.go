package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/servertest"
)

// load reads and writes from several goroutines until stop is called, which returns how often, and what failed.
func load(t *testing.T, s *backend.Store) (stop func() (calls int64, failures []error)) {
	t.Helper()
	var done atomic.Bool
	var calls atomic.Int64
	var mu sync.Mutex
	var failures []error // guarded by mu
	var loaders sync.WaitGroup
	for i := range 8 {
		loaders.Go(func() { // ends at stop
			for n := 0; !done.Load(); n++ {
				key := fmt.Sprint(i, "/", n%100)
				err := s.Get(t.Context(), key, key+"b")[0].Err
				if err == nil {
					err = s.Get(t.Context(), key)[0].Err
				}
				if err == nil {
					err = s.Write(t.Context(), add(key), deletion(key))[1].Err
				}
				calls.Add(1)
				if err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []error) {
		done.Store(true)
		loaders.Wait()
		return calls.Load(), failures
	}
}

func TestPasswordsChangeOnLiveConnectionsWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	root := admin(t, srv)
	set := func(rules ...any) {
		t.Helper()
		if err := root.Do(t.Context(), append([]any{"ACL", "SETUSER", "app"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("on", ">first", "~*", "+@all")
	var password atomic.Value
	password.Store("first")
	var asked atomic.Int64
	store := openStore(t, srv.URL(), &redis.Options{
		Timeout: 10 * time.Second,
		MaxAge:  100 * time.Millisecond,
		Credentials: func(context.Context) (string, string, error) {
			asked.Add(1)
			return "app", password.Load().(string), nil
		},
	})
	stop := load(t, store)
	for i := range 3 {
		old, next := password.Load().(string), fmt.Sprint("next", i)
		set(">" + next)
		password.Store(next)
		// Connections that are in use all the time are replaced too: those that authenticated with the old password go.
		from := asked.Load()
		for deadline := time.Now().Add(30 * time.Second); asked.Load() < from+20; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("connections are not replaced: asked for credentials %d times", asked.Load())
			}
		}
		set("<" + old)
	}
	calls, failures := stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d calls failed, the first with %v", len(failures), calls, failures[0])
	}
	t.Logf("%d calls, %d connections", calls, asked.Load())
}

func TestARefusedAnswerIsAskedForOnceMore(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	setUser(t, srv.URL(), "app", []string{"~*", "+@all"}, srv)
	var asked atomic.Int64
	store := openStore(t, srv.URL(), &redis.Options{
		Timeout: 10 * time.Second,
		Credentials: func(context.Context) (string, string, error) {
			if asked.Add(1) == 1 {
				return "app", "overtaken", nil
			}
			return "app", "open sesame", nil
		},
	})
	if e := store.Write(t.Context(), add("a"))[0]; e.Outcome != driver.Done || asked.Load() != 2 {
		t.Errorf("%v %v after %d questions", e.Outcome, e.Err, asked.Load())
	}
}

func TestCredentialsThatHeedNoContextHoldUpNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	store := openStore(t, servertest.SharedRedis(t).URL(), &redis.Options{
		Timeout:     time.Second,
		Credentials: func(context.Context) (string, string, error) { <-release; return "u", "horse", nil },
	})
	t.Cleanup(func() { close(release) })
	answered := make(chan error, 1)
	go func() { answered <- store.Get(context.Background(), "a")[0].Err }()
	select {
	case err := <-answered:
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a Get without a deadline goes on after ten times the timeout")
	}
}

func TestCredentialsThatCannotBeHadAreAnOutage(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedRedis(t)
	cause := errors.New("the token service is down")
	for name, tc := range map[string]struct {
		credentials func(ctx context.Context) (string, string, error)
		is          error
		want        string
	}{
		"fails":      {func(context.Context) (string, string, error) { return "u", "horse", cause }, cause, "token service"},
		"nothing":    {func(context.Context) (string, string, error) { return "u", "", nil }, nil, "no password"},
		"always bad": {func(context.Context) (string, string, error) { return "u", "horse", nil }, backend.ErrDenied, "user"},
		"takes ages": {func(ctx context.Context) (string, string, error) { <-ctx.Done(); return "", "", ctx.Err() }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openStore(t, srv.URL(), &redis.Options{Timeout: time.Second, Credentials: tc.credentials})
			got, e := store.Get(t.Context(), "a")[0], store.Write(t.Context(), add("a"), add("b"))[1]
			if e.Outcome != driver.Unsent && name != "takes ages" {
				t.Errorf("Write: %v, want unsent", e.Outcome)
			}
			for _, err := range []error{got.Err, e.Err} {
				if !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("%v", err)
					continue
				}
				if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), srv.Addr()) || strings.Contains(err.Error(), "horse") {
					t.Errorf("%q", err)
				}
			}
		})
	}
}
