package tier_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// told is a change in a word.
func told(c invalidation.Change) string {
	s := c.Verb.String() + " " + strings.Join(c.Keys, ",")
	if c.Missed != "" {
		s = "missed " + c.Missed
	}
	if c.Own {
		s += " own"
	}
	return s
}

func TestAWatchTellsEachInvalidationByTheUsersKeysAndWhoseItIs(t *testing.T) {
	t.Parallel()
	const odd = "odd {key} 100% \x00/"
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		env := tiertest.New(t)
		o := &tier.Options[string, string]{Version: "v2"}
		a, b := tiertest.Node(t, env, "c", o), tiertest.Node(t, env, "c", o)
		other := tiertest.Node(t, env, "c", &tier.Options[string, string]{Version: "v1", OnEvent: func(tier.Event) {}})
		another := tiertest.Node(t, env, "c2", o)
		ints := tiertest.Node[int, string](t, env, "ints", nil)
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		watched, err := b.Watch(ctx)
		must(t, err)
		numbers, err := ints.Watch(ctx)
		must(t, err)

		must(t, a.Invalidate(ctx, odd, "", "%7B"))
		must(t, a.InvalidateTag(ctx, "t{1}"))
		must(t, another.Invalidate(ctx, "another cache's"))
		must(t, other.Invalidate(ctx, "another version's"))
		must(t, b.Delete(ctx, "mine"))
		must(t, a.Set(ctx, "set", "value"))
		must(t, a.Clear(ctx))
		must(t, ints.Invalidate(ctx, -7))
		must(t, a.Invalidate(ctx, "last"))

		var got []string
		for change := range watched {
			if got = append(got, told(change)); slices.Contains(change.Keys, "last") {
				break
			}
		}
		want := []string{"invalidate " + odd + ",,%7B", "tag t{1}", "invalidate mine own", "invalidate set", "clear ", "invalidate last"}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		for change := range numbers {
			if told(change) != "invalidate -7 own" {
				t.Errorf("told %q", told(change))
			}
			break
		}
	})
}

// Whatever is told, the cache has applied it: a read finds what is newer.
func TestWhoReadsACacheOnAChangeGetsTheNewValue(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, c *cache) error{
		"invalidate": func(ctx context.Context, c *cache) error { return c.Invalidate(ctx, 1) },
		"expire":     func(ctx context.Context, c *cache) error { return c.Expire(ctx, 1) },
		"tag":        func(ctx context.Context, c *cache) error { return c.InvalidateTag(ctx, "t") },
		"clear":      func(ctx context.Context, c *cache) error { return c.Clear(ctx) },
		"set":        func(ctx context.Context, c *cache) error { return c.Set(ctx, 1, "new") },
		"gap": func(ctx context.Context, c *cache) error {
			return nil // the hub restarts
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sourceOf(map[int]string{1: "old"})
			bubble(t, options{Policy: aside(s), MaxStaleness: time.Minute}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
				must(t, b.Set(t.Context(), 1, "old", tier.WithTags("t")))
				want(t, b, 1, "old")
				synctest.Wait()
				changes, err := b.Watch(t.Context())
				must(t, err)
				s.Put(1, "new")
				done := make(chan error, 1)
				go func() { // ends with the change
					if name == "gap" {
						env.Hub.Pause()
						env.Hub.Restart()
						err := a.Invalidate(context.WithoutCancel(t.Context()), 1)
						env.Hub.Resume()
						done <- err
						return
					}
					done <- change(t.Context(), a)
				}()
				for change := range changes {
					if name == "expire" { // a stale value may serve
						break
					}
					if v, err := b.Get(t.Context(), 1); v != "new" || err != nil {
						t.Errorf("told %q, read %q, %v", told(change), v, err)
					}
					break
				}
				must(t, <-done)
			})
		})
	}
}

func TestAWatchEndsWithItsCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		bus := env.Bus(t)
		c := tiertest.Node(t, env, "c", &options{Bus: bus})
		must(t, bus.Ping(t.Context()))
		left, err := c.Watch(t.Context()) // nobody ever loops over it
		must(t, err)
		changes, err := c.Watch(t.Context())
		must(t, err)
		must(t, c.Invalidate(t.Context(), 1))
		must(t, c.Invalidate(t.Context(), 2))
		synctest.Wait()
		n := 0
		for range changes {
			n++
			must(t, c.Close())
		}
		if n != 1 {
			t.Errorf("told %d changes", n)
		}
		for change := range left {
			t.Errorf("told %q after Close", told(change))
		}
		_, err = c.Watch(t.Context())
		wantErr(t, err, tier.ErrClosed)
		c = tiertest.Node(t, env, "c", &options{Bus: bus})
		ctx, cancel := context.WithCancel(t.Context())
		changes, err = c.Watch(ctx)
		must(t, err)
		cancel()
		for change := range changes {
			t.Errorf("told %q", told(change))
		}
		_, err = c.Watch(ctx)
		wantErr(t, err, context.Canceled)
	})
	_, err := open[int, string](t, nil).Watch(t.Context())
	wantErr(t, err, tier.ErrUnsupported)
	if err == nil || !strings.Contains(fmt.Sprint(err), "Bus") {
		t.Errorf("without a bus: %v", err)
	}
}
