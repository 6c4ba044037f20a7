package hazelcastbus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := open(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	const n = 3 * batch
	for i := range n {
		transporttest.Publish(t, a, fmt.Sprint(i))
	}
	all := func(t *testing.T, after, through uint64) {
		t.Helper()
		frames, err := a.Replay(t.Context(), invalidation.Position{Incarnation: at.Incarnation, N: after}, through)
		if err != nil || uint64(len(frames)) != through-after {
			t.Fatalf("from %d to %d: %d frames, %v", after, through, len(frames), err)
		}
		for i, frame := range frames {
			if want := fmt.Sprint(after - at.N + uint64(i)); string(frame) != want {
				t.Fatalf("from %d to %d: frame %d is %q, want %q", after, through, i, frame, want)
			}
		}
	}
	gone := func(t *testing.T, after invalidation.Position, through uint64) {
		t.Helper()
		if frames, err := a.Replay(t.Context(), after, through); !errors.Is(err, invalidation.ErrGone) {
			t.Errorf("from %v to %d: %d frames, %v; want ErrGone", after, through, len(frames), err)
		}
	}
	for _, through := range []uint64{at.N + 1, at.N + batch - 1, at.N + batch, at.N + n} {
		all(t, at.N, through)
	}
	all(t, at.N+n-1, at.N+n)
	gone(t, at, at.N+n+1)                                                          // not published yet
	gone(t, invalidation.Position{Incarnation: at.Incarnation, N: at.N - 1}, at.N) // the entry that opened it, and nothing before

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Replay(ctx, at, at.N+1); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}

	// One of another incarnation among them, which was acknowledged to its publisher, must not be left out.
	onLog(t, a, func(ctx context.Context, ring *hz.Ringbuffer) error {
		_, err := ring.Add(ctx, newItem(invalidation.Incarnation{1}, []byte("late")), hz.OverflowPolicyOverwrite)
		return err
	})
	transporttest.Publish(t, a, "after it")
	gone(t, at, at.N+n+2)

	onLog(t, a, destroy)
	gone(t, at, at.N+1)
}

// A log that lost its tail and grew past it again has another entry where this node's last one stood, of the same incarnation as
// long as nobody has noticed.
func TestAReplayBehindAnotherEntryIsGone(t *testing.T) {
	t.Parallel()
	srv, name := servertest.SharedHazelcast(t), servertest.Key(t)
	a := open(t, srv.URL(), name)
	at := transporttest.Subscribed(t, a)
	transporttest.Publish(t, a, "last")
	transporttest.Publish(t, a, "next")
	after := invalidation.Position{Incarnation: at.Incarnation, N: at.N + 1}
	for range 2 {
		transporttest.Receive(t, a)
	}
	if frames, err := a.Replay(t.Context(), after, at.N+2); err != nil || len(frames) != 1 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	a.known.note(entry{seq: int64(after.N) - 1, raw: newItem(at.Incarnation, []byte("last"))}) // as if what was read had been another
	if frames, err := a.Replay(t.Context(), after, at.N+2); !errors.Is(err, invalidation.ErrGone) {
		t.Errorf("%d frames, %v; want ErrGone", len(frames), err)
	}
}

// overwritten is run on a member whose ring buffers hold 20 entries.
func overwritten(t *testing.T, url string) {
	a := open(t, url, "replay")
	at := transporttest.Subscribed(t, a)
	for i := range 19 { // with the entry that opened it, as many as it holds
		transporttest.Publish(t, a, fmt.Sprint(i))
	}
	if frames, err := a.Replay(t.Context(), at, at.N+19); err != nil || len(frames) != 19 {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	transporttest.Publish(t, a, "one more")
	if _, err := a.Replay(t.Context(), at, at.N+20); !errors.Is(err, invalidation.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}
