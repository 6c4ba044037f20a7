package redisbus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// recorder is a handler that notes everything; wait waits for a state of it.
type recorder struct {
	mu      sync.Mutex
	changed chan struct{}
	keys    []string
	flushes int
	trusts  int
	trusted time.Time
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
func (r *recorder) Flush(string)         { r.note(func() { r.flushes++ }) }
func (r *recorder) Trust(sent time.Time) { r.note(func() { r.trusts++; r.trusted = sent }) }

// wait blocks until ok holds, and fails the test if it does not within a while.
func (r *recorder) wait(t *testing.T, what string, ok func(r *recorder) bool) {
	t.Helper()
	limit := time.NewTimer(15 * time.Second)
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
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waited in vain for %s: %d flushes, %d trusts, keys %v", what, r.flushes, r.trusts, r.keys)
		}
	}
}

func (r *recorder) counts() (flushes, trusts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flushes, r.trusts
}

const bound = 500 * time.Millisecond

type node struct {
	*recorder
	bus *invalidation.Bus
	*invalidation.Attachment
}

func openNode(t *testing.T, s *server.Server, name string) node {
	t.Helper()
	bus, err := redisbus.Open(t.Context(), s.URL(), &redisbus.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return attach(t, bus, bound)
}

// attach makes a node of a bus that has subscribed. The first subscription flushes what is attached by then: it counts as one flush also
// where it came before.
func attach(t *testing.T, bus *invalidation.Bus, bound time.Duration) node {
	t.Helper()
	n := node{recorder: newRecorder(), bus: bus}
	var err error
	n.Attachment, err = bus.Attach("products", "v1", bound, n.recorder)
	servertest.Require(t, err)
	for deadline := time.Now().Add(60 * time.Second); bus.Position().IsZero(); time.Sleep(time.Millisecond) { // set behind the flush
		if time.Now().After(deadline) {
			t.Fatal("no subscription")
		}
	}
	n.note(func() { n.flushes = max(n.flushes, 1) })
	return n
}

func (n node) trustedNow(t *testing.T) {
	t.Helper()
	_, before := n.counts()
	n.wait(t, "trust", func(r *recorder) bool { return r.trusts > before })
}

func (n node) announce(t *testing.T, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		_, err := n.Announce(ctx, invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{key}})
		if err == nil {
			return
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			t.Fatalf("Announce: %v", err)
		}
	}
}

func TestNodesHearEachOtherInOrder(t *testing.T) {
	t.Parallel()
	s := servertest.SharedRedis(t)
	name := servertest.Key(t)
	a, b := openNode(t, s, name), openNode(t, s, name)
	a.trustedNow(t)
	b.trustedNow(t)
	for _, key := range []string{"1", "2", "3"} {
		a.announce(t, "a"+key)
		b.announce(t, "b"+key)
	}
	for _, n := range []node{a, b} {
		n.wait(t, "six keys", func(r *recorder) bool { return len(r.keys) == 6 })
		if got := strings.Join(n.keys, " "); got != "a1 b1 a2 b2 a3 b3" {
			t.Errorf("heard %q", got)
		}
	}
	if flushes, _ := a.counts(); flushes != 1 {
		t.Errorf("%d flushes, want the one of the first subscription", flushes)
	}
}

func TestTrustEndsWhileTheServerIsStoppedAndComesBack(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNode(t, s, "")
	n.trustedNow(t)
	servertest.Require(t, s.Pause())
	began := time.Now()
	deadline := time.NewTimer(3 * bound)
	<-deadline.C // silence is what is tested, and has no event
	n.recorder.mu.Lock()
	last := n.trusted
	n.recorder.mu.Unlock()
	if last.After(began.Add(bound / 5)) {
		t.Errorf("trusted by a heartbeat sent %v after the server had stopped", last.Sub(began))
	}
	if n.bus.Stats().Reconnects == 0 {
		t.Error("a silent subscription was not replaced")
	}
	servertest.Require(t, s.Resume())
	n.wait(t, "trust after the pause", func(r *recorder) bool { return r.trusted.After(began.Add(2 * bound)) })
	n.announce(t, "later")
	n.wait(t, "the announcement", func(r *recorder) bool { return len(r.keys) == 1 })
}

func TestARestartedServerFlushesAndRecovers(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t, &server.RedisOptions{Persist: true})
	a, b := openNode(t, s, ""), openNode(t, s, "")
	a.trustedNow(t)
	b.trustedNow(t)
	// The log itself comes back: only the run id tells that announcements may be gone.
	nonce := logNonce(t, s)
	before := b.Position()
	flushes, _ := b.counts()
	servertest.Require(t, s.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if _, err := a.Announce(ctx, invalidation.Message{Verb: invalidation.VerbClear}); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Announce to a dead server: %v, want ErrUnavailable", err)
	}
	servertest.Require(t, s.Restart(ctx))
	b.wait(t, "a flush", func(r *recorder) bool { return r.flushes > flushes })
	b.trustedNow(t)
	a.announce(t, "later")
	b.wait(t, "the announcement", func(r *recorder) bool { return len(r.keys) > 0 && r.keys[len(r.keys)-1] == "later" })
	if logNonce(t, s) != nonce {
		t.Error("the restarted server did not bring its log back, so this test proves nothing")
	}
	if _, comparable := b.Position().Compare(before); comparable {
		t.Errorf("a restarted server has the same incarnation: %v, then %v", before, b.Position())
	}
}

func TestLostDataIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNode(t, s, "")
	n.trustedNow(t)
	before := n.Position()
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error { return c.Client().FlushAll(ctx).Err() })
	n.wait(t, "a flush", func(r *recorder) bool { return r.flushes > 1 })
	n.trustedNow(t)
	if _, comparable := n.Position().Compare(before); comparable {
		t.Errorf("an emptied server has the same incarnation: %v, then %v", before, n.Position())
	}
	if n.bus.Stats().Flushes[invalidation.FlushIncarnation] == 0 {
		t.Errorf("no flush for another incarnation: %v", n.bus.Stats().Flushes)
	}
}

func TestStrangersOnTheChannelAreCounted(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	n := openNode(t, s, "")
	n.trustedNow(t)
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		for _, payload := range []string{"", "x", strings.Repeat("f", 48), strings.Repeat("f", 48) + "junk", strings.Repeat("z", 60)} {
			if err := c.Client().Publish(ctx, "{strata:bus}:frames", payload).Err(); err != nil {
				return err
			}
		}
		return nil
	})
	n.trustedNow(t)
	n.announce(t, "later")
	n.wait(t, "the announcement", func(r *recorder) bool { return len(r.keys) == 1 })
	if st := n.bus.Stats(); st.Dropped != 5 || len(st.Flushes) != 1 {
		t.Errorf("5 messages of strangers: %d dropped, flushes %v", st.Dropped, st.Flushes)
	}
}

// logNonce reads the part of the incarnation that the server stores.
func logNonce(t testing.TB, s *server.Server) (nonce string) {
	t.Helper()
	client(t, s, func(ctx context.Context, c *redisconn.Conn) (err error) {
		nonce, err = c.Client().HGet(ctx, "{strata:bus}:log", "nonce").Result()
		return err
	})
	return nonce
}

func killSubscriptions(ctx context.Context, c *redisconn.Conn) error {
	return c.Client().Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err()
}

// client runs something on the server with a client of its own.
func client(t testing.TB, s *server.Server, do func(ctx context.Context, c *redisconn.Conn) error) {
	t.Helper()
	conn, err := redisconn.Open(s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := context.Background()
	if err := conn.Call(ctx, func(ctx context.Context) error { return do(ctx, conn) }); err != nil {
		t.Fatal(err)
	}
}
