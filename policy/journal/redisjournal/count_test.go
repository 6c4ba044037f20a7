package redisjournal_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// counted is a store's connection that counts what is sent.
type counted struct {
	conn *redisconn.Conn

	mu   sync.Mutex
	sent map[string]int
}

func (c *counted) As(target any) bool {
	t, ok := target.(**redisconn.Conn)
	if ok {
		*t = c.conn
	}
	return ok
}

// since returns how many commands were sent since the last call.
func (c *counted) since() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = map[string]int{}
	return fmt.Sprint(sent)
}

type countedConn struct {
	net.Conn
	c *counted
}

func (n countedConn) Write(b []byte) (int, error) {
	n.c.mu.Lock()
	for _, word := range []string{"evalsha", "eval", "info", "time", "xreadgroup", "hscan"} {
		if times := bytes.Count(b, []byte("\r\n"+word+"\r\n")); times > 0 {
			n.c.sent[word] += times
		}
	}
	n.c.mu.Unlock()
	return n.Conn.Write(b)
}

func countedQueue(t testing.TB, url string) (*counted, journal.Queue) {
	t.Helper()
	c := &counted{sent: map[string]int{}}
	conn, err := redisconn.Open(url+"?timeout=10s", &redisconn.Options{
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			n, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return countedConn{n, c}, err
		},
	})
	servertest.Require(t, err)
	c.conn = conn
	j, err := redisjournal.New(c, nil)
	servertest.Require(t, err)
	q, err := j.Open("queue", (&journal.Options{}).WithDefaults())
	servertest.Require(t, err)
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, q
}

func TestEachCallIsOneCommand(t *testing.T) {
	t.Parallel()
	c, q := countedQueue(t, persistent(t).URL())
	warm := func() {
		accept(t, q, sets(0, 1)...)
		entries := take(t, q, 1)
		for _, err := range []error{q.Keep(t.Context(), entries), q.Return(t.Context(), entries)} {
			servertest.Require(t, err)
		}
		entries = take(t, q, 1)
		servertest.Require(t, q.Bury(t.Context(), entries, []string{"cause"}))
		servertest.Require(t, q.Done(t.Context(), entries))
		pendingAt(t, q, "key 0")
		if _, err := q.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Retry(t.Context(), "key 0"); err != nil {
			t.Fatal(err)
		}
		servertest.Require(t, q.Done(t.Context(), take(t, q, 1)))
	}
	warm()
	c.since()
	var entries []journal.Entry
	for _, call := range []struct {
		name string
		do   func()
	}{
		{"Append of 500", func() { accept(t, q, sets(0, 500)...) }},
		{"Append of 1", func() { accept(t, q, sets(0, 1)...) }},
		{"Pending of 500", func() {
			keys := make([]string, 500)
			for i := range keys {
				keys[i] = fmt.Sprint("key ", i)
			}
			if e, err := q.Pending(t.Context(), keys); err != nil || e[499].Position == 0 {
				t.Fatal(err)
			}
		}},
		{"Take of 500", func() { entries = take(t, q, 500) }},
		{"Keep of 500", func() { servertest.Require(t, q.Keep(t.Context(), entries)) }},
		{"Stats", func() { q.Stats(t.Context()) }},
		{"Done of 500", func() { servertest.Require(t, q.Done(t.Context(), entries)) }},
	} {
		call.do()
		if sent := c.since(); sent != "map[evalsha:1]" {
			t.Errorf("%s sends %s, want one script", call.name, sent)
		}
	}
}

func TestWritesThatComeWhileOthersTravelLeaveTogether(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	c, q := countedQueue(t, s.URL())
	accept(t, q, sets(0, 1)...)
	c.since()
	servertest.Require(t, s.Pause()) // the first stays under way until all others wait
	const writers = 64
	var writing, begun sync.WaitGroup
	begun.Add(writers)
	for i := range writers {
		writing.Go(func() {
			begun.Done()
			accept(t, q, sets(i, 1)...)
		})
	}
	begun.Wait()
	until(t, "one that is under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.sent["evalsha"] == 1
	})
	servertest.Require(t, s.Resume())
	writing.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.sent["evalsha"]; n > writers/4 {
		t.Errorf("%d commands for %d writes of as many writers", n, writers)
	}
}
