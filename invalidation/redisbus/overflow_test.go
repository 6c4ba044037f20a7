package redisbus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

func TestSubscriptionsThatAreKilledUnderLoadMissNothingAndFlushNothing(t *testing.T) {
	t.Parallel()
	for name, keyed := range map[string]*redisbus.Options{"without a key": nil, "with a key": keyed(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Redis(t)
			a, b := openNodeWith(t, s, s.Addr(), keyed), openNodeWith(t, s, s.Addr(), keyed)
			a.trustedNow(t)
			b.trustedNow(t)
			ctx, stop := context.WithCancel(t.Context())
			var work sync.WaitGroup
			defer work.Wait()
			defer stop()
			var want []string
			work.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					key := fmt.Sprint(i)
					if _, err := a.Announce(ctx, invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: []string{key}}); err == nil {
						want = append(want, key)
					}
				}
			})
			for range 20 {
				before := b.bus.Stats().Subscriptions
				client(t, s, killSubscriptions)
				for deadline := time.Now().Add(60 * time.Second); b.bus.Stats().Subscriptions == before; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("no new subscription")
					}
				}
			}
			stop()
			work.Wait()
			b.wait(t, "all", func(r *recorder) bool { return slices.Contains(r.keys, want[len(want)-1]) })
			b.recorder.mu.Lock()
			defer b.recorder.mu.Unlock()
			heard := map[string]bool{}
			for _, key := range b.keys {
				heard[key] = true
			}
			for _, key := range want {
				if !heard[key] {
					t.Fatalf("%s was not heard", key)
				}
			}
			if st := b.bus.Stats(); b.flushes != 1 || st.Replays == 0 {
				t.Errorf("%d flushes, %d replays in %d subscriptions, of %d announcements", b.flushes, st.Replays, st.Subscriptions, len(want))
			}
		})
	}
}

// held is a cache that takes its time with the first message.
type held struct {
	*recorder
	once *sync.Once
	hold chan struct{}
}

func (h held) Apply(p invalidation.Position, own bool, m invalidation.Message) {
	h.once.Do(func() { <-h.hold })
	h.recorder.Apply(p, own, m)
}

// A node that does not keep up fills the server's output buffer, and the server hangs up.
func TestASubscriptionThatOverflowsMissesNothingAndFlushesNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		return c.Client().ConfigSet(ctx, "client-output-buffer-limit", "pubsub 65536 65536 1").Err()
	})
	o := &redisbus.Options{LogBytes: 32 << 20, Options: invalidation.Options{Heartbeat: bound / 5}}
	a := openNodeWith(t, s, s.Addr(), o)
	bus, err := redisbus.Open(t.Context(), s.URL(), o)
	servertest.Require(t, err)
	defer bus.Close()
	h := held{newRecorder(), &sync.Once{}, make(chan struct{})}
	_, err = bus.Attach("products", "v1", time.Minute, h) // so that silence does not replace it
	servertest.Require(t, err)
	h.wait(t, "trust", func(r *recorder) bool { return r.trusts > 0 })
	a.trustedNow(t)
	first := subscriptions(t, s)
	frames := 0
	for ; len(strings.Split(subscriptions(t, s), ",")) == len(strings.Split(first, ",")); frames++ {
		if frames == 60 {
			t.Fatal("the server never hung up")
		}
		keys := make([]string, 64)
		for i := range keys {
			keys[i] = fmt.Sprintf("%d/%d/%s", frames, i, strings.Repeat("k", 3<<10))
		}
		for _, key := range keys[:8] {
			a.announce(t, key)
		}
		_, err := a.Announce(t.Context(), invalidation.Message{Verb: invalidation.VerbInvalidate, Keys: keys[8:]})
		servertest.Require(t, err)
	}
	close(h.hold)
	h.wait(t, "all", func(r *recorder) bool { return len(r.keys) >= frames*64 })
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, key := range h.keys {
		if want := fmt.Sprintf("%d/%d/", i/64, i%64); !strings.HasPrefix(key, want) {
			t.Fatalf("key %d is %.10s, want %s", i, key, want)
		}
	}
	if st := bus.Stats(); h.flushes > 1 || st.Replays == 0 {
		t.Errorf("%d flushes, %d replays of %d frames", h.flushes, st.Replays, st.Replayed)
	}
}
