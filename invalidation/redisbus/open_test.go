package redisbus_test

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// store is what New sees of a backend: something that may hand out a connection.
type store struct{ conn *redisconn.Conn }

func (s store) As(target any) bool {
	p, ok := target.(**redisconn.Conn)
	if ok && s.conn != nil {
		*p = s.conn
	}
	return ok && s.conn != nil
}

func TestNewSharesTheStoresClientAndLeavesItOpen(t *testing.T) {
	t.Parallel()
	conn, err := redisconn.Open(servertest.SharedRedis(t).URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bus, err := redisbus.New(store{conn}, &redisbus.Options{Name: servertest.Key(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder()
	if _, err := bus.Attach("c", "", bound, r); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "trust", func(r *recorder) bool { return r.trusts > 0 })
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Client().Ping(t.Context()).Err(); err != nil {
		t.Errorf("the store's client after the bus was closed: %v", err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	try := func(want string, bus *invalidation.Bus, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || bus != nil {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	bus, err := redisbus.New(store{}, nil)
	try("not on Redis", bus, err)
	bus, err = redisbus.Open(t.Context(), "redis://u:secret@h:6379?colour=red", nil)
	try("pool_size, protocol", bus, err)
	bus, err = redisbus.Open(t.Context(), "redis://u:secret@h", &redisbus.Options{Name: "a b"})
	try("Options.Name", bus, err)
	o := keyed(t)
	o.LogFrames = -1
	bus, err = redisbus.Open(t.Context(), "redis://u:secret@h", o)
	try("Options.Keys", bus, err)
}
