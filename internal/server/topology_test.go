//go:build unix

package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/testcert"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func certificates(t *testing.T) *server.RedisTLS {
	t.Helper()
	ca, err := testcert.New(t.TempDir(), "test")
	must(t, err)
	leaf, err := ca.Issue("redis", nil)
	must(t, err)
	return &server.RedisTLS{Authority: ca, Leaf: leaf}
}

// pingTLS sends PING with that configuration and returns the first line of the answer.
func pingTLS(s *server.Server, config *tls.Config) (string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.Addr(), config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return askOn(conn, "PING")
}

func TestRedisSpeaksTLSAlone(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	s := servertest.Redis(t, &server.RedisOptions{TLS: certs, Password: "s3cret"})
	if want := "rediss://:s3cret@" + s.Addr(); s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	if got, err := pingTLS(s, certs.Authority.ClientConfig()); err != nil || !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("PING over TLS: %q, %v", got, err)
	}
	if got, err := ask(s, "PING", 5*time.Second); err == nil && !strings.HasPrefix(got, "-") {
		t.Errorf("PING without TLS: %q", got)
	}
}

func TestRedisWithMutualTLSWantsACertificate(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	certs.Mutual = true
	s := servertest.Redis(t, &server.RedisOptions{TLS: certs})
	if got, err := pingTLS(s, certs.Authority.ClientConfig(certs.Leaf)); err != nil || got != "+PONG" {
		t.Errorf("PING with a certificate: %q, %v", got, err)
	}
	if got, err := pingTLS(s, certs.Authority.ClientConfig()); err == nil {
		t.Errorf("PING without a certificate: %q", got)
	}
}

func TestRedisUsersHaveTheirRules(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t, &server.RedisOptions{Users: []server.RedisUser{
		{Name: "reader", Password: "r", Rules: "~app:* +get"},
		{Name: "all", Password: "a"},
	}})
	conn, err := net.Dial("tcp4", s.Addr())
	must(t, err)
	defer conn.Close()
	for _, step := range [][2]string{
		{"AUTH reader r", "+OK"},
		{"GET app:k", "$-1"},
		{"GET other", "-NOPERM"},
		{"SET app:k v", "-NOPERM"},
		{"AUTH all wrong", "-WRONGPASS"},
		{"AUTH all a", "+OK"},
		{"SET other v", "+OK"},
	} {
		if got, err := askOn(conn, step[0]); err != nil || !strings.HasPrefix(got, step[1]) {
			t.Errorf("%s: %q, %v; want %s", step[0], got, err, step[1])
		}
	}
	_, err = server.Redis(context.Background(), &server.RedisOptions{Users: []server.RedisUser{{Name: "a b", Password: "x"}}})
	if err == nil || !strings.Contains(err.Error(), "Users") {
		t.Errorf("a name with a space: %v", err)
	}
}

func TestSentinelsReplaceAKilledPrimary(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t, &server.SentinelOptions{Password: "watch", Node: server.RedisOptions{Password: "data"}})
	ctx := within(t, 60*time.Second)
	if !strings.HasPrefix(g.URL(), "redis-sentinel://:data@127.0.0.1:") || !strings.HasSuffix(g.URL(), "/strata") ||
		strings.Count(g.URL(), ",") != 2 {
		t.Errorf("URL %q", g.URL())
	}
	if got, err := ask(g.Sentinels()[0], "SENTINEL MASTERS", 5*time.Second); err != nil || !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("a Sentinel without its password: %q, %v", got, err)
	}
	old, err := g.Primary(ctx)
	must(t, err)
	if old != g.Nodes()[0] {
		t.Errorf("the primary is %s, not the first node", old.Addr())
	}
	begin := time.Now()
	must(t, old.Kill())
	next, err := g.AwaitFailover(ctx, old)
	must(t, err)
	t.Logf("failover after %v", time.Since(begin))
	if next != g.Nodes()[1] {
		t.Errorf("the new primary is %s", next.Addr())
	}
	restart(t, old)
	must(t, g.AwaitReady(ctx)) // the old one follows now
	if now, err := g.Primary(ctx); err != nil || now != next {
		t.Errorf("the primary is %v, %v", now, err)
	}
}

func TestSentinelsSpeakTLS(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t, &server.SentinelOptions{Sentinels: 1, Node: server.RedisOptions{TLS: certificates(t)}})
	if !strings.HasPrefix(g.URL(), "rediss-sentinel://127.0.0.1:") {
		t.Errorf("URL %q", g.URL())
	}
	if got, err := ask(g.Sentinels()[0], "PING", 5*time.Second); err == nil && !strings.HasPrefix(got, "-") {
		t.Errorf("a Sentinel without TLS: %q", got)
	}
}

func TestAClusterReplacesAKilledPrimary(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: time.Second})
	ctx := within(t, 60*time.Second)
	if len(c.Nodes()) != 6 || strings.Count(c.URL(), ",") != 5 || !strings.HasPrefix(c.URL(), "redis-cluster://127.0.0.1:") {
		t.Errorf("%d nodes, URL %q", len(c.Nodes()), c.URL())
	}
	old, err := c.Owner(ctx, 0)
	must(t, err)
	begin := time.Now()
	must(t, old.Kill())
	next, err := c.AwaitFailover(ctx, old, 0)
	must(t, err)
	t.Logf("failover after %v", time.Since(begin))
	if next != c.Nodes()[3] {
		t.Errorf("slot 0 went to %s, which is not the replica", next.Addr())
	}
	restart(t, old)
	must(t, c.AwaitOK(ctx)) // the old one follows now
	if now, err := c.Owner(ctx, 0); err != nil || now != next {
		t.Errorf("the owner is %v, %v", now, err)
	}
}

func TestASlotMovesWithItsKeys(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t, &server.ClusterOptions{NodeTimeout: 20 * time.Second,
		Node: server.RedisOptions{Password: "data", TLS: certificates(t)}})
	ctx := within(t, 60*time.Second)
	slot := server.Slot("{tag}")
	from, err := c.Owner(ctx, slot)
	must(t, err)
	to := c.Nodes()[0]
	if from == to {
		to = c.Nodes()[1]
	}
	const keys = 25
	say := func(s *server.Server, line string) string {
		t.Helper()
		got, err := server.AskRedis(c, s, strings.Fields(line)...)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(got)
	}
	for i := range keys {
		if got := say(from, fmt.Sprintf("SET {tag}%d v", i)); got != "OK" {
			t.Fatalf("SET: %s", got)
		}
	}
	m, err := c.BeginMigration(ctx, slot, to)
	must(t, err)
	if moved, err := m.MoveKeys(ctx, 10); err != nil || moved != 10 {
		t.Fatalf("%d keys moved, %v", moved, err)
	}
	asks := 0
	for i := range keys {
		if strings.Contains(say(from, fmt.Sprintf("GET {tag}%d", i)), "ASK "+strconv.Itoa(slot)) {
			asks++
		}
	}
	if asks != 10 {
		t.Errorf("the source sends elsewhere for %d keys, not 10", asks)
	}
	must(t, c.Migrate(ctx, slot, to)) // goes on where it stands
	if now, err := c.Owner(ctx, slot); err != nil || now != to {
		t.Errorf("the owner is %v, %v", now, err)
	}
	for i := range keys {
		if got := say(to, fmt.Sprintf("GET {tag}%d", i)); got != "v" {
			t.Errorf("key %d: %s", i, got)
		}
	}
	must(t, c.AwaitOK(ctx))
	must(t, c.Migrate(ctx, slot, to)) // nothing to do
}

func TestSlotIsThatOfTheTag(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"123456789": 12739, "foo": 12182, "{foo}bar": 12182, "a{foo}{bar}": 12182, "": 0} {
		if got := server.Slot(key); got != want {
			t.Errorf("Slot(%q) is %d, want %d", key, got, want)
		}
	}
	if server.Slot("{}foo") == server.Slot("foo") {
		t.Error("an empty tag counts")
	}
}

func TestBadTopologiesAreErrors(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() error{
		"SentinelOptions": func() error {
			_, err := server.Sentinel(context.Background(), &server.SentinelOptions{Replicas: -1})
			return err
		},
		"ClusterOptions": func() error {
			_, err := server.RedisCluster(context.Background(), &server.ClusterOptions{Node: server.RedisOptions{Port: 1}})
			return err
		},
		"RedisOptions.TLS": func() error {
			_, err := server.RedisCluster(context.Background(), &server.ClusterOptions{Node: server.RedisOptions{TLS: &server.RedisTLS{}}})
			return err
		},
	} {
		if err := start(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
