package redisconn_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// get asks the owner of a key for it.
func get(ctx context.Context, c *redisconn.Conn, key string) error {
	n, err := c.Primary(ctx, key)
	if err != nil {
		return err
	}
	cmd := redis.NewStringCmd(ctx, "get", key)
	_, err = redisconn.DoAt(ctx, c, n, func(ctx context.Context) (string, error) {
		c.Exec(ctx, n, []redis.Cmder{cmd})
		if errors.Is(cmd.Err(), redis.Nil) {
			return "", nil
		}
		return cmd.Result()
	})
	return c.Explain(n.Server(), err)
}

func TestWhatSentinelsNameIsAskedForItsRole(t *testing.T) {
	t.Parallel()
	g := servertest.SharedSentinel(t)
	primary, err := g.Primary(t.Context())
	servertest.Require(t, err)
	replica := g.Nodes()[0]
	if replica == primary {
		replica = g.Nodes()[1]
	}
	c := open(t, g.URL(), &redisconn.Options{
		Timeout: 10 * time.Second,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == primary.Addr() { // as if somebody had demoted it, and no sentinel knew
				addr = replica.Addr()
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	})
	err = get(t.Context(), c, "a")
	if !errors.Is(err, sentinel.ErrUnavailable) || !redisconn.NotSent(err) || !strings.Contains(err.Error(), "is a replica") || !strings.Contains(err.Error(), primary.Addr()) {
		t.Errorf("%v", err)
	}
	if err := c.Client().Get(t.Context(), "a").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("the native client reads from a replica: %v", err)
	}
}

func TestSentinelsThatDoNotKnowAreAllNamed(t *testing.T) {
	t.Parallel()
	g := servertest.SharedSentinel(t)
	var hosts []string
	for _, s := range g.Sentinels() {
		hosts = append(hosts, s.Addr())
	}
	unknown := "redis-sentinel://" + strings.Join(hosts, ",") + "/other"
	dead := "redis-sentinel://127.0.0.1:1,127.0.0.1:2/main"
	for url, want := range map[string][]string{unknown: append(hosts, `watches no "other"`), dead: {"127.0.0.1:1", "127.0.0.1:2", "refused"}} {
		c := open(t, url, &redisconn.Options{Timeout: 5 * time.Second})
		err := get(t.Context(), c, "a")
		if !errors.Is(err, sentinel.ErrUnavailable) || !redisconn.NotSent(err) {
			t.Errorf("%v is not an outage in which nothing was sent", err)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %s", err, part)
			}
		}
	}
}

func TestSentinelsHaveCredentialsOfTheirOwn(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t, &server.SentinelOptions{Password: "watch-word", Node: server.RedisOptions{Password: "pass-word"}})
	url := g.URL()
	for name, tc := range map[string]struct {
		password string
		denied   bool
	}{"right": {"watch-word", false}, "wrong": {"another", true}, "none": {"", true}} {
		c := open(t, url, &redisconn.Options{Timeout: 10 * time.Second, Password: "pass-word", SentinelPassword: tc.password})
		err := get(t.Context(), c, "a")
		if tc.denied != errors.Is(err, sentinel.ErrDenied) || tc.denied != (err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "sentinel "+g.Sentinels()[0].Addr()) || strings.Contains(err.Error(), "-word") || strings.Contains(err.Error(), "another")) {
			t.Errorf("%s: %q", name, err)
		}
	}
}

func TestAReplacedPrimaryIsNoticedWithoutACall(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := open(t, g.URL(), &redisconn.Options{Timeout: 5 * time.Second})
	servertest.Require(t, get(ctx, c, "a"))
	before, err := c.Primary(ctx, "a")
	servertest.Require(t, err)
	old, err := g.Primary(ctx)
	servertest.Require(t, err)
	servertest.Require(t, old.Pause()) // no connection of ours breaks
	t.Cleanup(func() { _ = old.Resume() })
	now, err := g.AwaitFailover(ctx, old)
	servertest.Require(t, err)
	for {
		n, err := c.Primary(ctx, "a")
		servertest.Require(t, err)
		if n != before {
			if !strings.HasPrefix(n.Server(), now.Addr()) {
				t.Errorf("the primary is %s, want %s", n.Server(), now.Addr())
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal("nobody noticed")
		}
		time.Sleep(10 * time.Millisecond)
	}
	servertest.Require(t, get(ctx, c, "a"))
}
