package memcachedbus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
)

const (
	bound    = 500 * time.Millisecond
	patience = 30 * time.Second
)

// recorder is a handler that notes everything; wait waits for a state of it.
type recorder struct {
	// mu guards the rest.
	mu      sync.Mutex
	changed chan struct{}
	keys    []string
	flushes int
	trusted time.Time // sent of the last Trust; zero after a flush
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Apply(_ invalidation.Position, _ bool, m invalidation.Message) {
	r.note(func() { r.keys = append(r.keys, m.Keys...) })
}
func (r *recorder) Flush(string) {
	r.note(func() { r.flushes++; r.keys = nil; r.trusted = time.Time{} })
}
func (r *recorder) Trust(sent time.Time) { r.note(func() { r.trusted = sent }) }

func (r *recorder) wait(t *testing.T, what string, ok func(r *recorder) bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		r.mu.Lock()
		done, changed := ok(r), r.changed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

type node struct {
	*recorder
	*invalidation.Attachment
	bus *invalidation.Bus
}

// trustedNow waits for trust in what was announced before now.
func (n node) trustedNow(t *testing.T) {
	t.Helper()
	now := time.Now()
	n.wait(t, "trust", func(r *recorder) bool { return r.trusted.After(now) })
}

func (n node) flushed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.flushes
}

func (n node) announce(t *testing.T, keys ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		_, err := n.Announce(t.Context(), invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: keys})
		if err == nil {
			return
		}
		if !errors.Is(err, invalidation.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("Announce: %v", err)
		}
	}
}

func attach(t *testing.T, bus *invalidation.Bus) node {
	t.Helper()
	t.Cleanup(func() { servertest.Require(t, bus.Close()) })
	n := node{recorder: newRecorder(), bus: bus}
	var err error
	n.Attachment, err = bus.Attach("products", "v1", bound, n.recorder)
	servertest.Require(t, err)
	return n
}

func openNode(t *testing.T, srv *server.Server, name string) node {
	t.Helper()
	bus, err := memcachedbus.Open(t.Context(), srv.URL(), &memcachedbus.Options{Name: name, Poll: 10 * time.Millisecond})
	servertest.Require(t, err)
	return attach(t, bus)
}

func TestNodesHearEachOtherInOrder(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedMemcached(t), servertest.Key(t)
	a, b := openNode(t, srv, name), openNode(t, srv, name)
	a.trustedNow(t)
	b.trustedNow(t)
	for _, key := range []string{"1", "2", "3"} {
		a.announce(t, "a"+key)
		b.announce(t, "b"+key)
	}
	for _, n := range []node{a, b} {
		n.wait(t, "six keys", func(r *recorder) bool { return len(r.keys) == 6 })
		if got := strings.Join(n.keys, " "); got != "a1 b1 a2 b2 a3 b3" || n.flushed() > 1 {
			t.Errorf("heard %q, %d flushes", got, n.flushed())
		}
	}
}

// Announcements of any size arrive whole, on nodes that heard nothing else for long, too.
func TestALargeAnnouncementArrives(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedMemcached(t), servertest.Key(t)
	a, b := openNode(t, srv, name), openNode(t, srv, name)
	b.trustedNow(t)
	keys := make([]string, 50_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%060d", i)
	}
	a.announce(t, keys...)
	b.wait(t, "all keys", func(r *recorder) bool { return len(r.keys) >= len(keys) })
	if b.flushed() > 1 {
		t.Errorf("%d flushes", b.flushed())
	}
}

func TestTrustEndsWhileTheServerIsStoppedAndComesBackWithoutAFlush(t *testing.T) {
	t.Parallel()
	srv := servertest.Memcached(t)
	a, b := openNode(t, srv, ""), openNode(t, srv, "")
	a.trustedNow(t)
	b.trustedNow(t)
	servertest.Require(t, srv.Pause())
	began := time.Now()
	deadline := time.NewTimer(2 * bound)
	<-deadline.C // silence is what is tested, and has no event
	b.mu.Lock()
	last := b.trusted
	b.mu.Unlock()
	if last.After(began) {
		t.Errorf("trusted by a heartbeat sent %v after the server had stopped", last.Sub(began))
	}
	servertest.Require(t, srv.Resume())
	b.trustedNow(t)
	a.announce(t, "later")
	b.wait(t, "the announcement", func(r *recorder) bool { return len(r.keys) > 0 })
	if b.flushed() > 1 {
		t.Errorf("%d flushes, want none for the pause", b.flushed())
	}
}

// The server has so little memory that it forgets all the time. What was announced is heard or makes way for a flush.
func TestUnderMemoryPressureNothingIsMissedInSilence(t *testing.T) {
	t.Parallel()
	// Without the thread that keeps what is read often, it evicts the log like anything else.
	srv := servertest.Memcached(t, &server.MemcachedOptions{MemoryMB: 2, Args: []string{"-o", "no_lru_maintainer,no_lru_crawler"}})
	a, b := openNode(t, srv, ""), openNode(t, srv, "")
	a.trustedNow(t)
	b.trustedNow(t)
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	defer flood.Wait()
	defer cancel()
	flood.Go(func() {
		conn, err := net.Dial("tcp", srv.Addr())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		value := strings.Repeat("x", 10_000)
		for i := 0; ctx.Err() == nil; i++ {
			size := 100 + 650*(i%15) // of every class in which the log may be
			if _, err := fmt.Fprintf(conn, "set flood%d 0 0 %d noreply\r\n%s\r\n", i, size, value[:size]); err != nil {
				return
			}
		}
	})
	began := time.Now()
	for i := 0; i < 30 || b.flushed() < 4; i++ {
		if time.Since(began) > patience {
			t.Fatalf("the log was evicted %d times only", b.flushed()-1)
		}
		key := fmt.Sprint("key-", i, strings.Repeat(".", 100*(i%20)))
		flushes := b.flushed()
		a.announce(t, key)
		acked := time.Now()
		b.wait(t, "the key, or a flush", func(r *recorder) bool {
			heard := r.flushes > flushes || len(r.keys) > 0 && r.keys[len(r.keys)-1] == key
			if !heard && r.trusted.After(acked) {
				t.Errorf("trusted by what was sent after %q was announced, without having heard it", key)
				return true
			}
			return heard
		})
	}
	t.Logf("%d flushes, %+v", b.flushed(), b.bus.Stats())
}

func TestNewSharesTheStoresConnectionsAndLeavesThemOpen(t *testing.T) {
	t.Parallel()
	store, err := memcached.Open(t.Context(), servertest.SharedMemcached(t).URL(), nil)
	servertest.Require(t, err)
	defer store.Close()
	name := servertest.Key(t)
	for range 2 {
		bus, err := memcachedbus.New(store, &memcachedbus.Options{Name: name})
		servertest.Require(t, err)
		n := attach(t, bus)
		n.trustedNow(t)
		if _, err := invalidation.Register(bus, "pool"); !errors.Is(err, invalidation.ErrUnsupported) {
			t.Errorf("Register: %v", err)
		}
		servertest.Require(t, bus.Close())
	}
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("the store after its buses were closed: %v", err)
	}
}

// other is a store on something else.
type other struct{}

func (other) As(any) bool { return false }

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
	bus, err := memcachedbus.New(nil, nil)
	try("the store is nil", bus, err)
	bus, err = memcachedbus.New(other{}, nil)
	try("not on Memcached", bus, err)
	bus, err = memcachedbus.Open(t.Context(), "memcached://u:secret@h?colour=red", nil)
	try("colour", bus, err)
	bus, err = memcachedbus.Open(t.Context(), "memcached://h?item_size=2000", nil)
	try("item_size", bus, err)
	bus, err = memcachedbus.Open(t.Context(), "memcached://u:secret@h", &memcachedbus.Options{Name: "a b"})
	try("Options.Name", bus, err)
	bus, err = memcachedbus.Open(t.Context(), "memcached://h", &memcachedbus.Options{Poll: time.Microsecond})
	try("Options.Poll", bus, err)

	hub := membus.Bus(membus.NewHub(), nil)
	defer hub.Close()
	register, err := invalidation.Register(hub, "pool")
	servertest.Require(t, err)
	store, err := memcached.Open(t.Context(), "memcached://127.0.0.1:1", &memcached.Options{Membership: register})
	servertest.Require(t, err)
	defer store.Close()
	bus, err = memcachedbus.New(store, nil)
	try("Membership", bus, err)
}
