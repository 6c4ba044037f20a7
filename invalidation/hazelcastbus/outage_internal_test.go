package hazelcastbus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

func TestRingBuffersOfOtherCapacities(t *testing.T) {
	t.Parallel()
	srv := servertest.Hazelcast(t, &server.HazelcastOptions{Import: `hazelcast:
  ringbuffer:
    default:
      capacity: 20
    "{strata:small*":
      capacity: 8
`})
	t.Run("one that overflows makes a reader that was away for too long subscribe anew", func(t *testing.T) {
		t.Parallel()
		awayForTooLong(t, srv.URL())
	})
	t.Run("one that overflowed has no replay of what was overwritten", func(t *testing.T) {
		t.Parallel()
		overwritten(t, srv.URL())
	})
	t.Run("one that is too small is refused", func(t *testing.T) {
		t.Parallel()
		tooSmall(t, srv.URL())
	})
}

// awayForTooLong is a bus that does not keep up, which stops the reading; then the ring buffer goes on without it.
func awayForTooLong(t *testing.T, url string) {
	b := open(t, url, "away")
	at := transporttest.Subscribed(t, b)
	a := open(t, url, "away")
	transporttest.Subscribed(t, a)
	drained := make(chan struct{})
	go func() { // so that a keeps up; ends with the Close of a
		defer close(drained)
		for {
			if _, err := a.Receive(context.Background()); errors.Is(err, invalidation.ErrClosed) {
				return
			}
		}
	}()
	t.Cleanup(func() { a.Close(); <-drained })
	var last invalidation.Position
	for i := range deliveryQueue + 2*batch + 30 {
		last = transporttest.Publish(t, a, fmt.Sprint(i))
	}
	for i := 0; ; i++ {
		d := transporttest.Receive(t, b)
		if d.Kind == invalidation.Subscribed {
			if at = d.Position; i == 0 || at.Incarnation != last.Incarnation {
				t.Errorf("subscribed at %v after %d frames", at, i)
			}
			break
		}
		if at.N++; d.Position != at {
			t.Fatalf("got kind %d at %v, want a frame at %v or Subscribed", d.Kind, d.Position, at)
		}
	}
	for at.N < last.N {
		at.N++
		if d := transporttest.Receive(t, b); d.Position != at {
			t.Fatalf("got kind %d at %v, want a frame at %v", d.Kind, d.Position, at)
		}
	}
	transporttest.Publish(t, a, "next")
	transporttest.WantFrames(t, b, at, "next")
}

func tooSmall(t *testing.T, url string) {
	a := open(t, url, "small")
	ctx, cancel := context.WithTimeout(t.Context(), transporttest.Patience)
	defer cancel()
	for {
		d, err := a.Receive(ctx)
		if err == nil || ctx.Err() != nil {
			t.Fatalf("got %+v, %v, want an error that names the capacity", d, err)
		}
		if strings.Contains(err.Error(), "capacity 8") {
			break
		}
	}
	if _, err := a.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Publish: %v", err)
	}
}

// killed ends one of two members. Of many logs, it owns some.
func killed(t *testing.T, members []*server.Server) {
	const logs = 8
	url := strings.Replace(members[0].URL(), members[0].Addr(), members[0].Addr()+","+members[1].Addr(), 1)
	var writers, readers [logs]*transport
	var at [logs]invalidation.Position
	for i, all := range []*[logs]*transport{&writers, &readers} {
		conn, err := hazelcastconn.Open(url+"&timeout=2s", nil)
		servertest.Require(t, err)
		t.Cleanup(func() { conn.Close() })
		for k := range all {
			tr := newTransport(conn, false, (&Options{Name: fmt.Sprint("log-", k)}).names())
			t.Cleanup(func() { tr.Close() })
			all[k] = tr
			if at[k] = transporttest.Subscribed(t, tr); i == 1 && at[k].N != 1 {
				t.Fatalf("subscribed at %v, want the first entry", at[k])
			}
		}
	}
	// follow publishes and reads up to there. Entries whose acknowledgement was lost with the member may stand there too, or
	// come later.
	follow := func(what string) {
		t.Helper()
		for k := range logs {
			p := transporttest.Publish(t, writers[k], what)
			if p.Incarnation != at[k].Incarnation {
				t.Fatalf("log %d, %s: published at %v, after %v", k, what, p, at[k])
			}
			for at[k].N < p.N {
				d := transporttest.Receive(t, readers[k])
				if at[k].N++; d.Position != at[k] {
					t.Fatalf("log %d, %s: got kind %d at %v, want a frame at %v", k, what, d.Kind, d.Position, at[k])
				}
				if at[k] == p && string(d.Frame) != what {
					t.Fatalf("log %d: got %q at %v, where %q was published", k, d.Frame, p, what)
				}
			}
		}
	}
	follow("before")
	servertest.Require(t, members[0].Kill())
	follow("after the kill")
	servertest.Require(t, members[0].Restart(t.Context()))
	for i := range 20 { // while partitions move
		follow(fmt.Sprint("after the return ", i))
	}
}

func TestAHungMemberBlocksNobody(t *testing.T) {
	t.Parallel()
	srv := servertest.Hazelcast(t)
	a := dial(t, srv.URL()+"&timeout=500ms", "hung")
	transporttest.Subscribed(t, a)
	servertest.Require(t, srv.Pause())
	defer func() { servertest.Require(t, srv.Resume()) }()
	within := func(what string, most time.Duration, do func()) {
		t.Helper()
		began := time.Now()
		do()
		if took := time.Since(began); took > most {
			t.Errorf("%s took %v", what, took)
		}
	}
	within("Publish", 10*hazelcastconn.DefaultTimeout, func() {
		if _, err := a.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrUnavailable) {
			t.Errorf("Publish: %v", err)
		}
	})
	within("Hint", 10*hazelcastconn.DefaultTimeout, func() {
		if err := a.Hint(t.Context(), []byte{1}); !errors.Is(err, invalidation.ErrUnavailable) {
			t.Errorf("Hint: %v", err)
		}
	})
	within("Reconnect", time.Second, a.Reconnect)
	within("a Publish that is cancelled", 10*hazelcastconn.DefaultTimeout, func() {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		defer timer.Stop()
		if _, err := a.Publish(ctx, [][]byte{{1}}); err != context.Canceled {
			t.Errorf("Publish: %v, want context.Canceled itself", err)
		}
	})
	within("Close", 10*time.Second, func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if _, err := a.Publish(t.Context(), [][]byte{{1}}); !errors.Is(err, invalidation.ErrClosed) {
		t.Errorf("Publish after Close: %v", err)
	}
}

// Not parallel: it counts goroutines.
func TestWaitsThatAreAbandonedLeaveNothingBehind(t *testing.T) {
	a := open(t, servertest.SharedHazelcast(t).URL(), servertest.Key(t))
	transporttest.Subscribed(t, a)
	before := runtime.NumGoroutine()
	for range 100 {
		a.Reconnect()
		transporttest.Subscribed(t, a)
	}
	for deadline := time.Now().Add(transporttest.Patience); runtime.NumGoroutine() > before+5; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
