package redisbus_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// openNodeWith opens a node at addr, which may be a proxy's. Its bound leaves a busy machine the time for a replay, which is half of
// it at most; heartbeats, unless o says how often, come as with the other one.
func openNodeWith(t *testing.T, s *server.Server, addr string, o *redisbus.Options) node {
	t.Helper()
	var with redisbus.Options
	if o != nil {
		with = *o
	}
	with.Heartbeat = cmp.Or(with.Heartbeat, bound/5)
	bus, err := redisbus.Open(t.Context(), strings.Replace(s.URL(), s.Addr(), addr, 1), &with)
	servertest.Require(t, err)
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return attach(t, bus, 12*bound)
}

// outage is what happens to one of two nodes.
type outage struct {
	server *server.Server
	a, b   node // b is behind the proxy
	proxy  *wire.Proxy
}

func newOutage(t *testing.T, o *redisbus.Options) outage {
	t.Helper()
	s := servertest.Redis(t)
	proxy, err := wire.New(s.Addr())
	servertest.Require(t, err)
	t.Cleanup(func() { proxy.Close() })
	out := outage{server: s, a: openNodeWith(t, s, s.Addr(), o), b: openNodeWith(t, s, proxy.Addr(), o), proxy: proxy}
	out.a.trustedNow(t)
	out.b.trustedNow(t)
	return out
}

// cut ends all of b's connections, and lets none come about until heal.
func (o outage) cut() {
	o.proxy.Refuse()
	o.proxy.Cut()
}

func (o outage) heal(t *testing.T) {
	t.Helper()
	servertest.Require(t, o.proxy.Heal())
}

// wantHeard waits until b has heard exactly those keys, in that order, and is trusted for what was announced since.
func (o outage) wantHeard(t *testing.T, flushes int, keys ...string) {
	t.Helper()
	o.b.wait(t, fmt.Sprintf("%d keys", len(keys)), func(r *recorder) bool { return len(r.keys) >= len(keys) && r.flushes >= flushes })
	since := time.Now()
	o.b.wait(t, "trust", func(r *recorder) bool { return r.trusted.After(since) })
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	if !slices.Equal(o.b.keys, keys) || o.b.flushes != flushes {
		t.Errorf("heard %v with %d flushes (%v), want %v with %d", o.b.keys, o.b.flushes, o.b.bus.Stats().Flushes, keys, flushes)
	}
}

func TestACutShorterThanTheLogCostsNoFlush(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(o outage, announce func()){
		"CLIENT KILL": func(o outage, announce func()) {
			client(t, o.server, killSubscriptions)
			announce()
		},
		"all connections": func(o outage, announce func()) {
			o.cut()
			announce()
			o.heal(t)
		},
		"a second of silence": func(o outage, announce func()) {
			o.proxy.Set(wire.Fault{Blackhole: true})
			announce()
			<-time.After(time.Second) // the outage that is promised to cost nothing
			o.heal(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, nil)
			fault(o, func() {
				o.a.announce(t, "1")
				o.a.announce(t, "2")
			})
			o.wantHeard(t, 1, "1", "2")
			if st := o.b.bus.Stats(); name != "CLIENT KILL" && (st.Replays == 0 || st.Replayed < 2) { // that may be too quick to miss anything
				t.Errorf("%d replays of %d frames", st.Replays, st.Replayed)
			}
		})
	}
}

func TestAMessageOfAnotherShapeEndsTheSubscriptionOnly(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]string{"one part": "1\r\n$7\r\nmessage", "no text": "3\r\n:7777777\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, nil)
			var changed atomic.Bool
			o.proxy.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
				return func(piece []byte) []byte {
					if out := bytes.Replace(piece, []byte("3\r\n$7\r\nmessage"), []byte(shape), 1); !bytes.Equal(out, piece) {
						changed.Store(true)
						return out
					}
					return piece
				}
			}}, wire.ToClient)
			o.a.announce(t, "1")
			o.a.announce(t, "2")
			deadline := time.Now().Add(30 * time.Second)
			for tick := time.NewTicker(time.Millisecond); !changed.Load() && time.Now().Before(deadline); {
				<-tick.C
			}
			o.heal(t)
			o.wantHeard(t, 1, "1", "2")
			if !changed.Load() || o.b.bus.Stats().Subscriptions < 2 {
				t.Errorf("a message was changed: %t; %d subscriptions", changed.Load(), o.b.bus.Stats().Subscriptions)
			}
		})
	}
}

// Of what is changed on its way to a node nothing is applied: it is read from the log.
func TestAFrameThatIsChangedOnItsWayIsHadAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(message []byte) []byte{
		"a key": func(message []byte) []byte { return bytes.Replace(message, []byte("key-1"), []byte("key-3"), 1) },
		"its place": func(message []byte) []byte { // becomes the next one
			end := bytes.Index(message, []byte("sB\x01"))
			n, _ := strconv.ParseUint(string(message[end-16:end]), 16, 64)
			copy(message[end-16:], fmt.Sprintf("%016x", n+1))
			return message
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, nil)
			var changed atomic.Bool
			o.proxy.Set(wire.Fault{Rewrite: func(int) func([]byte) []byte {
				return func(piece []byte) []byte {
					if bytes.Contains(piece, []byte("key-1")) && !changed.Swap(true) {
						return change(piece)
					}
					return piece
				}
			}}, wire.ToClient)
			o.a.announce(t, "key-1")
			o.a.announce(t, "key-2")
			o.wantHeard(t, 1, "key-1", "key-2")
			if !changed.Load() {
				t.Error("nothing was changed")
			}
		})
	}
}

func TestACutLongerThanTheLogCostsOneFlush(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]*redisbus.Options{
		"frames":   {LogFrames: 8},
		"bytes":    {LogBytes: 1 << 10},
		"no frame": {LogFrames: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, options)
			o.cut()
			for range 20 {
				o.a.announce(t, strings.Repeat("missed", 10))
			}
			o.heal(t)
			o.b.wait(t, "a flush", func(r *recorder) bool { return r.flushes == 2 })
			o.b.trustedNow(t)
			o.a.announce(t, "later")
			o.wantHeard(t, 2, "later")
		})
	}
}

func TestWhatTheServerKeepsIsBounded(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	kept := func() (frames, bytes int64, counted string) {
		client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
			list, err := c.Client().LRange(ctx, "{strata:bus}:recent", 0, -1).Result()
			for _, entry := range list {
				frames, bytes = frames+1, bytes+int64(len(entry))
			}
			counted = c.Client().HGet(ctx, "{strata:bus}:log", "bytes").Val()
			return err
		})
		return frames, bytes, counted
	}
	n := openNodeWith(t, s, s.Addr(), &redisbus.Options{LogFrames: 50, LogBytes: 20_000, Options: invalidation.Options{Heartbeat: time.Hour}})
	for _, size := range []int{1, 100, 5000, 30_000, 1} { // the fourth is alone, and too large for another
		for range 60 {
			n.announce(t, strings.Repeat("k", size))
		}
		frames, bytes, counted := kept()
		if frames < 1 || frames > 50 || bytes > 20_000 && frames > 1 || counted != fmt.Sprint(bytes) {
			t.Errorf("keys of %d bytes: %d frames of %d bytes, counted as %s", size, frames, bytes, counted)
		}
	}
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		return c.Client().Del(ctx, "{strata:bus}:log").Err()
	})
	n.announce(t, "of another log")
	if frames, bytes, counted := kept(); frames != 1 || counted != fmt.Sprint(bytes) {
		t.Errorf("after the counter was lost: %d frames of %d bytes, counted as %s", frames, bytes, counted)
	}
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		return c.Client().Del(ctx, "{strata:bus}:recent").Err()
	})
	n.announce(t, "of the same")
	if frames, bytes, counted := kept(); frames != 1 || counted != fmt.Sprint(bytes) {
		t.Errorf("after the frames were lost: %d frames of %d bytes, counted as %s", frames, bytes, counted)
	}
}

// A node that keeps no frames does to the server what one of an older version does: it counts and publishes.
func TestANodeThatKeepsNoFramesLeavesHolesThatAreSeen(t *testing.T) {
	t.Parallel()
	o := newOutage(t, nil)
	old := openNodeWith(t, o.server, o.server.Addr(), &redisbus.Options{LogFrames: -1})
	old.trustedNow(t)
	o.cut()
	o.a.announce(t, "kept")
	old.announce(t, "not kept")
	o.a.announce(t, "kept too")
	o.heal(t)
	o.b.wait(t, "a flush", func(r *recorder) bool { return r.flushes == 2 })
	o.b.trustedNow(t)
	heard(t, old, o.b, "from old")
	heard(t, o.b, old, "from new")

	servertest.Require(t, old.bus.Close())
	heard(t, o.a, o.b, "last")
	flushes, _ := o.b.counts()
	o.b.recorder.note(func() { o.b.keys = nil })
	o.cut()
	o.a.announce(t, "missed")
	o.heal(t)
	o.wantHeard(t, flushes, "missed") // holes before what is asked for do not matter
}
