package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func open(t *testing.T, url string, o *redisconn.Options) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func ping(ctx context.Context, c *redisconn.Conn) error {
	return c.Call(ctx, func(ctx context.Context) error { return c.Client().Ping(ctx).Err() })
}

func TestAnAnswerComesThrough(t *testing.T) {
	t.Parallel()
	c := open(t, servertest.SharedRedis(t).URL(), nil)
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": t.Context()} {
		key := servertest.Key(t) + name
		if _, err := redisconn.Do(ctx, c, func(ctx context.Context) (string, error) { return c.Client().Get(ctx, key).Result() }); !errors.Is(err, redis.Nil) || errors.Is(err, sentinel.ErrUnavailable) {
			t.Errorf("%s: a missing key: %v, want redis.Nil untouched", name, err)
		}
		got, err := redisconn.Do(ctx, c, func(ctx context.Context) (string, error) { return c.Client().Echo(ctx, "hello").Result() })
		if err != nil || got != "hello" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestAStoppedServer(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	const timeout = 300 * time.Millisecond
	c := open(t, s.URL()+"?timeout=300ms", nil)
	servertest.Require(t, ping(t.Context(), c))
	servertest.Require(t, s.Pause())
	t.Cleanup(func() { _ = s.Resume() })

	took := func(what string, ctx context.Context, least, most time.Duration, want error) {
		t.Helper()
		began := time.Now()
		err := ping(ctx, c)
		if d := time.Since(began); d < least || d > most {
			t.Errorf("%s returned after %v, want %v to %v", what, d, least, most)
		}
		if !errors.Is(err, want) || want != sentinel.ErrUnavailable && errors.Is(err, sentinel.ErrUnavailable) {
			t.Errorf("%s returned %v, want %v alone", what, err, want)
		}
		if want == sentinel.ErrUnavailable && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s blames the caller's deadline: %v", what, err)
		}
	}
	took("no deadline, cannot be cancelled", context.Background(), timeout/2, 2*timeout, sentinel.ErrUnavailable)
	took("no deadline, can be cancelled", t.Context(), timeout/2, 2*timeout, sentinel.ErrUnavailable)

	early, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	took("an early deadline", early, 40*time.Millisecond, timeout-50*time.Millisecond, context.DeadlineExceeded)

	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	took("a cancellation", ctx, 40*time.Millisecond, timeout-50*time.Millisecond, context.Canceled)
	took("a context that had ended", ctx, 0, 20*time.Millisecond, context.Canceled)
}

func TestADeadServerIsUnavailableAtOnceAndNothingWasSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := open(t, "redis://"+addr, nil)
	began := time.Now()
	err = ping(t.Context(), c)
	if !errors.Is(err, sentinel.ErrUnavailable) || !redisconn.NotSent(err) || time.Since(began) > 200*time.Millisecond {
		t.Errorf("a refused dial: %v after %v, not sent %v", err, time.Since(began), redisconn.NotSent(err))
	}
}

func TestNoCommandIsSentTwice(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	conns := 0
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns++
			mu.Unlock()
			_ = conn.Close()
		}
	}()
	c := open(t, "redis://"+l.Addr().String(), nil)
	if err := ping(t.Context(), c); !errors.Is(err, sentinel.ErrUnavailable) {
		t.Errorf("a server that hangs up: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if conns != 1 {
		t.Errorf("%d connections for one command", conns)
	}
}

func TestCloseWaitsForCallsThatWereLeftBehind(t *testing.T) {
	t.Parallel()
	c, err := redisconn.Open("redis://localhost:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	running, release, ended := make(chan struct{}), make(chan struct{}), false
	go func() { <-running; cancel() }()
	err = c.Call(ctx, func(context.Context) error { close(running); <-release; ended = true; return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Call: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if err := errors.Join(c.Close(), c.Close()); err != nil || !ended {
		t.Errorf("Close: %v, the call had ended: %v", err, ended)
	}
	if err := ping(t.Context(), c); !errors.Is(err, sentinel.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestRefusalsAreUnavailableAndAnswersAreNot(t *testing.T) {
	t.Parallel()
	s := servertest.SharedRedis(t)
	c := open(t, s.URL(), nil)
	reply := func(text string) error {
		return c.Call(t.Context(), func(ctx context.Context) error {
			return c.Client().Eval(ctx, "return redis.error_reply(ARGV[1])", nil, text).Err()
		})
	}
	for text, want := range map[string]bool{"READONLY no": true, "LOADING yes": true, "WRONGTYPE k": false, "BUSYGROUP x": false, "NOAUTH x": false,
		"@user_script: 10: -READONLY no": true, "@user_script: 10: @user_script: 10: -OOM no": true, // of scripts on Redis 6
		"Error running script (call to f_0f): @user_script:14: @user_script: 14: -OOM no": true, "x @user_script: 1: -OOM": false,
	} {
		if got := errors.Is(reply(text), sentinel.ErrUnavailable); got != want {
			t.Errorf("%s: unavailable %v, want %v", text, got, want)
		}
	}
}

func ExampleOpen() {
	conn, err := redisconn.Open("redis://app:secret@db.example:6380/2?timeout=250ms", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.Server(), conn, conn.Timeout())

	_, err = redisconn.Open("redis://db.example?color=red", nil)
	fmt.Println(err)
	// Output:
	// db.example:6380/2 redis://app:xxxxx@db.example:6380/2 250ms
	// redisconn: unknown URL parameter "color"; known: client_name, max_age, max_idle_time, max_value, min_idle, pool_size, protocol, replica_reads, sentinel_username, timeout, tls_ca, tls_cert, tls_key, tls_server_name
}

func BenchmarkCall(b *testing.B) {
	c, err := redisconn.Open("redis://localhost:1", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for name, ctx := range map[string]context.Context{"cancellable=false": context.Background(), "cancellable=true": b.Context()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = c.Call(ctx, func(context.Context) error { return nil })
			}
		})
	}
}
