package hazelcastconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/servertest"
)

const patience = 30 * time.Second

// names answers all questions of this process for addresses that the hosts file does not know.
var names *wire.DNS

func TestMain(m *testing.M) {
	var err error
	if names, err = wire.NewDNS(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	net.DefaultResolver = names.Resolver()
	// names lives as long as the process: servertest.Main does not return.
	servertest.Main(m, servertest.Ignore(append(servertest.HazelcastLeaks, "github.com/strata-cache/strata/internal/fault/wire.(*DNS).serve")...)...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s: %v", what, err)
		}
	}
}

// through is the URL of the shared member with another address, and a map of the test's own.
func through(t testing.TB, addr string, parameters ...string) string {
	srv := servertest.SharedHazelcast(t)
	at := strings.Replace(srv.URL(), srv.Addr(), addr, 1) + "&map=" + url.QueryEscape(servertest.Key(t))
	return strings.Join(append([]string{at}, parameters...), "&")
}

func proxy(t testing.TB) *wire.Proxy {
	p, err := wire.New(servertest.SharedHazelcast(t).Addr())
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func open(t testing.TB, rawURL string, o *hazelcastconn.Options) *hazelcastconn.Conn {
	t.Helper()
	c, err := hazelcastconn.Open(rawURL, o)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func put(t testing.TB, c *hazelcastconn.Conn, key, value string) (any, error) {
	t.Helper()
	return hazelcastconn.Do(t.Context(), c, hazelcastconn.Once, func(ctx context.Context, m *hazelcast.Map) (any, error) {
		return m.PutIfAbsentWithTTL(ctx, key, []byte(value), time.Hour)
	})
}

func get(t testing.TB, c *hazelcastconn.Conn, key string) (any, error) {
	t.Helper()
	return hazelcastconn.Do(t.Context(), c, hazelcastconn.Repeatable, func(ctx context.Context, m *hazelcast.Map) (any, error) {
		return m.Get(ctx, key)
	})
}

// works waits until c reads what it wrote.
func works(t testing.TB, c *hazelcastconn.Conn) {
	t.Helper()
	key := servertest.Key(t)
	eventually(t, "calls work", func() error {
		if _, err := put(t, c, key, "v"); err != nil {
			return err
		}
		v, err := get(t, c, key)
		if b, ok := v.([]byte); err == nil && (!ok || string(b) != "v") {
			err = errors.New("another value")
		}
		return err
	})
}
