package hazelcastbus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// A ring buffer whose partition had no copy left is empty, and counts from 0; the map beside it may have survived.
func TestALogThatWasLostIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := open(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	b := open(t, srv.URL(), name)
	transporttest.Subscribed(t, b)
	for i := range 3 {
		transporttest.Publish(t, a, fmt.Sprint(i))
	}
	onLog(t, a, destroy)
	p := transporttest.Publish(t, a, "after the loss")
	if p.Incarnation == at.Incarnation {
		t.Errorf("published at %v, in the incarnation of the lost log", p)
	}
	for _, tr := range []*transport{a, b} {
		if head := transporttest.Anew(t, tr); head.Incarnation != p.Incarnation {
			t.Errorf("subscribed at %v, want the incarnation of %v", head, p)
		}
	}
}

func TestALossIsNoticedThoughNobodyPublishes(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := open(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	onLog(t, a, destroy)
	if head := transporttest.Anew(t, a); head.Incarnation == at.Incarnation {
		t.Errorf("subscribed at %v, as before the loss", head)
	}
}

// It is the map that remembers the incarnation of the log that is gone.
func TestALossIsNoticedByANodeThatKnewNothing(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := dial(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	servertest.Require(t, a.Close())
	b, err := hazelcastconn.Open(srv.URL(), nil)
	servertest.Require(t, err)
	defer b.Close()
	onLog(t, &transport{conn: b, names: a.names}, destroy)
	if head := transporttest.Subscribed(t, open(t, srv.URL(), name)); head.Incarnation == at.Incarnation {
		t.Errorf("subscribed at %v, as before the loss", head)
	}
}

// A transport whose bus does not receive reads nothing any more, so its publisher has to notice by itself, and its next
// subscription what was read before.
func TestALossIsNoticedWithoutReading(t *testing.T) {
	t.Parallel()
	stalled := func(t *testing.T) (*transport, invalidation.Position) {
		a := open(t, servertest.SharedHazelcast(t).URL(), servertest.Key(t))
		at := transporttest.Subscribed(t, a)
		for range deliveryQueue + 2*batch {
			transporttest.Publish(t, a, "x")
		}
		for deadline := time.Now().Add(transporttest.Patience); !a.inbox.Full(); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the queue is never full")
			}
		}
		onLog(t, a, destroy)
		return a, at
	}
	check := func(t *testing.T, a *transport, at invalidation.Position) {
		t.Helper()
		if head := transporttest.Anew(t, a); head.Incarnation == at.Incarnation {
			t.Errorf("subscribed at %v, as before the loss", head)
		}
	}
	t.Run("by a publisher", func(t *testing.T) {
		t.Parallel()
		a, at := stalled(t)
		if p, err := a.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrUnavailable) {
			t.Fatalf("Publish: %v, %v; want ErrUnavailable", p, err)
		}
		check(t, a, at)
	})
	t.Run("by a new subscription", func(t *testing.T) {
		t.Parallel()
		a, at := stalled(t)
		onLog(t, a, func(ctx context.Context, ring *hz.Ringbuffer) error {
			for range 2 * deliveryQueue {
				if _, err := ring.Add(ctx, newItem(at.Incarnation, []byte("other")), hz.OverflowPolicyOverwrite); err != nil {
					return err
				}
			}
			return nil
		})
		a.Reconnect()
		check(t, a, at)
	})
}

func TestAReaderThatWasCutOff(t *testing.T) {
	t.Parallel()
	member := newShadow(t)

	// A cut shorter than the ring buffer's reach costs nothing.
	t.Run("reads what it missed", func(t *testing.T) {
		b := open(t, member.url, "missed")
		transporttest.Subscribed(t, b)
		member.cutOff()
		a := open(t, member.url, "missed")
		at := transporttest.Subscribed(t, a)
		var frames []string
		for i := range 40 {
			frames = append(frames, fmt.Sprint("missed ", i))
			transporttest.Publish(t, a, frames[i])
		}
		transporttest.WantFrames(t, b, at, frames...)
	})

	// The publisher that makes the log grow again noticed nothing, so all that tells is the entry that was read last.
	t.Run("does not take a log that fell back and grew again for the same", func(t *testing.T) {
		b := open(t, member.url, "grown")
		at := transporttest.Subscribed(t, b)
		transporttest.Publish(t, b, "one")
		at = transporttest.WantFrames(t, b, at, "one")
		member.cutOff()
		conn, err := hazelcastconn.Open(member.url, nil)
		servertest.Require(t, err)
		defer conn.Close()
		other := &transport{conn: conn, names: b.names} // nobody who reads
		onLog(t, other, destroy)
		onLog(t, other, func(ctx context.Context, ring *hz.Ringbuffer) error {
			for range 5 {
				if _, err := ring.Add(ctx, newItem(at.Incarnation, []byte("other")), hz.OverflowPolicyOverwrite); err != nil {
					return err
				}
			}
			return nil
		})
		if d := transporttest.Receive(t, b); d.Kind != invalidation.Subscribed || d.Position.Incarnation == at.Incarnation {
			t.Errorf("got kind %d %q at %v after %v, want Subscribed in another incarnation", d.Kind, d.Frame, d.Position, at)
		}
	})
}

// A publisher that does not know yet that the log has another incarnation cannot lead anybody back, and what it says is not lost.
func TestAFrameOfAnotherIncarnationBeginsANewSubscription(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := open(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	onLog(t, a, func(ctx context.Context, ring *hz.Ringbuffer) error {
		_, err := ring.Add(ctx, newItem(invalidation.Incarnation{1}, []byte("late")), hz.OverflowPolicyOverwrite)
		return err
	})
	if head := transporttest.Subscribed(t, a); head != (invalidation.Position{Incarnation: at.Incarnation, N: at.N + 1}) {
		t.Errorf("subscribed at %v, after %v", head, at)
	}
	b := open(t, srv.URL(), name) // the last it finds is that frame
	if head := transporttest.Subscribed(t, b); head.Incarnation != at.Incarnation {
		t.Errorf("a later node subscribed at %v, want the incarnation of %v", head, at)
	}
}

func TestWhatOthersPutIntoTheLogIsHandedOnAsUnreadable(t *testing.T) {
	t.Parallel()
	a := open(t, servertest.SharedHazelcast(t).URL(), servertest.Key(t))
	at := transporttest.Subscribed(t, a)
	junk := []any{[]byte("junk"), "a string", int64(7), []byte{}}
	onLog(t, a, func(ctx context.Context, ring *hz.Ringbuffer) error {
		_, err := ring.AddAll(ctx, hz.OverflowPolicyOverwrite, junk...)
		return err
	})
	at = transporttest.WantFrames(t, a, at, "junk", "", "", "")
	transporttest.Publish(t, a, "ours")
	transporttest.WantFrames(t, a, at, "ours")
}

func TestAFullRestartIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	srv := servertest.Hazelcast(t)
	a := open(t, srv.URL(), "restart")
	at := transporttest.Subscribed(t, a)
	b := open(t, srv.URL(), "restart")
	transporttest.Subscribed(t, b)
	for i := range 3 {
		transporttest.Publish(t, a, fmt.Sprint(i))
	}
	servertest.Require(t, srv.Kill())

	// Nobody answers: everything ends in its time.
	began := time.Now()
	if _, err := a.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Publish without a server: %v", err)
	}
	if took := time.Since(began); took > 3*a.conn.Timeout() {
		t.Errorf("Publish without a server took %v", took)
	}
	servertest.Require(t, srv.Restart(t.Context()))
	p := transporttest.Publish(t, a, "after the restart")
	if p.Incarnation == at.Incarnation {
		t.Errorf("published at %v, as before the restart", p)
	}
	for _, tr := range []*transport{a, b} {
		for head := transporttest.Anew(t, tr); head.Incarnation != p.Incarnation; head = transporttest.Anew(t, tr) {
			if head.Incarnation == at.Incarnation {
				t.Fatalf("subscribed at %v, as before the restart", head)
			}
		}
	}
}
