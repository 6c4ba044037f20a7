package redisbus_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

func TestAWatcherIsToldAllThatWasAnnouncedOrThatItMissedSomething(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options *redisbus.Options
		missed  bool
	}{
		"a cut that is shorter than the log": {nil, false},
		"a cut that is longer than the log":  {&redisbus.Options{LogFrames: 4}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, c.options)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			changes, err := o.b.bus.Watch(ctx, "products")
			servertest.Require(t, err)
			o.cut()
			for i := range 10 {
				o.a.announce(t, fmt.Sprint(i))
			}
			o.heal(t)
			o.b.trustedNow(t)
			o.a.announce(t, "last")
			var told []string
			missed := 0
			for change := range changes {
				if change.Missed != "" {
					missed++
				}
				if told = append(told, change.Keys...); slices.Contains(change.Keys, "last") {
					break
				}
			}
			o.b.wait(t, "the last", func(r *recorder) bool { return slices.Contains(r.keys, "last") })
			o.b.mu.Lock()
			defer o.b.mu.Unlock()
			if !slices.Equal(told, o.b.keys) || missed != o.b.flushes-1 {
				t.Errorf("told %q, and of %d losses; the cache heard %q, with %d flushes", told, missed, o.b.keys, o.b.flushes)
			}
			if all := slices.Contains(told, "0") && slices.Contains(told, "9"); c.missed && missed == 0 || missed == 0 && !all {
				t.Errorf("told %q, and of %d losses (%v)", told, missed, o.b.bus.Stats().Flushes)
			}
		})
	}
}
