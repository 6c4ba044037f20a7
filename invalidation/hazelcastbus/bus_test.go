package hazelcastbus_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
)

const (
	bound    = 500 * time.Millisecond
	patience = 60 * time.Second
)

// recorder is a handler that notes everything; wait waits for a state of it.
type recorder struct {
	// mu guards the rest.
	mu      sync.Mutex
	changed chan struct{}
	keys    []string
	flushes int
	trusts  int
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
func (r *recorder) Flush(string)    { r.note(func() { r.flushes++; r.trusts = 0 }) }
func (r *recorder) Trust(time.Time) { r.note(func() { r.trusts++ }) }

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

func (r *recorder) trusted() bool { return r.trusts > 0 }

func attach(t *testing.T, bus *invalidation.Bus) (*recorder, *invalidation.Attachment) {
	t.Helper()
	r := newRecorder()
	a, err := bus.Attach("c", "", bound, r)
	servertest.Require(t, err)
	return r, a
}

func openBus(t *testing.T, url, name string) (*recorder, *invalidation.Attachment) {
	t.Helper()
	bus, err := hazelcastbus.Open(t.Context(), url, &hazelcastbus.Options{Name: name})
	servertest.Require(t, err)
	t.Cleanup(func() { servertest.Require(t, bus.Close()) })
	return attach(t, bus)
}

// Two nodes live through a restart of the whole cluster: both flush, are trusted again, and hear each other.
func TestNodesFindTogetherAgainWhenAllMembersWereRestarted(t *testing.T) {
	t.Parallel()
	srv := servertest.Hazelcast(t)
	a, announcer := openBus(t, srv.URL(), "")
	b, _ := openBus(t, srv.URL(), "")
	var before []int
	for _, r := range []*recorder{a, b} {
		r.wait(t, "trust", (*recorder).trusted)
	}
	for _, r := range []*recorder{a, b} {
		r.note(func() { before = append(before, r.flushes) })
	}
	servertest.Require(t, srv.Kill())
	servertest.Require(t, srv.Restart(t.Context()))
	for i, r := range []*recorder{a, b} {
		r.wait(t, "a flush, and trust after it", func(r *recorder) bool { return r.flushes > before[i] && r.trusted() })
	}
	for deadline := time.Now().Add(patience); ; {
		_, err := announcer.Announce(t.Context(), invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{"k"}})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	b.wait(t, "the key", func(r *recorder) bool { return len(r.keys) > 0 })
}

func TestNewSharesTheStoresClientAndLeavesItOpen(t *testing.T) {
	t.Parallel()
	store, err := hazelcast.Open(t.Context(), servertest.SharedHazelcast(t).URL(), nil)
	servertest.Require(t, err)
	defer store.Close()
	var nodes []*recorder
	for range 2 { // of one client, and of one log
		bus, err := hazelcastbus.New(store, &hazelcastbus.Options{Name: servertest.Key(t)})
		servertest.Require(t, err)
		r, _ := attach(t, bus)
		nodes = append(nodes, r)
		defer func() { servertest.Require(t, bus.Close()) }()
	}
	for _, r := range nodes {
		r.wait(t, "trust", (*recorder).trusted)
	}
	bus, err := hazelcastbus.New(store, nil)
	servertest.Require(t, err)
	servertest.Require(t, bus.Close())
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("the store's client after a bus was closed: %v", err)
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
	bus, err := hazelcastbus.New(nil, nil)
	try("the store is nil", bus, err)
	bus, err = hazelcastbus.New(other{}, nil)
	try("not on Hazelcast", bus, err)
	bus, err = hazelcastbus.Open(t.Context(), "hazelcast://u:secret@h?colour=red", nil)
	try("colour", bus, err)
	bus, err = hazelcastbus.Open(t.Context(), "hazelcast://u:secret@h", &hazelcastbus.Options{Name: "a b"})
	try("Options.Name", bus, err)
}
