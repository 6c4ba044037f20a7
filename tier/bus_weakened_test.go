package tier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/tier/tiertest"
)

// What a node misses of its bus, the old value that it would serve past its bound, and the mechanism that prevents it.
var missed = []struct {
	name string
	off  weaken.Mechanism
	lose func(t *testing.T, env *tiertest.Env, write func())
}{
	{"a silent bus", weaken.Trust, func(_ *testing.T, env *tiertest.Env, write func()) {
		env.Hub.Pause()
		write()
	}},
	{"a lost message", weaken.Replay, func(_ *testing.T, env *tiertest.Env, write func()) {
		env.Hub.Drop(1)
		write()
	}},
	{"a log that fell back and has grown as far again", weaken.IdentityFlush, func(t *testing.T, env *tiertest.Env, write func()) {
		env.Hub.Pause()
		before := env.Hub.Head().N
		env.Hub.Restart()
		write()
		other := env.Hub.Transport()
		defer other.Close()
		for env.Hub.Head().N < before {
			if _, err := other.Publish(t.Context(), [][]byte{{0}}); err != nil {
				t.Error(err)
			}
		}
		env.Hub.Resume()
	}},
}

// Not parallel: the switches are the process's.
func TestEachMechanismOfTheBusIsWhatPreventsAnOldValue(t *testing.T) {
	const bound = 2 * time.Second
	for _, c := range missed {
		run := func(t *testing.T) (got string) {
			s := sourceOf(map[int]string{1: "old"})
			bubble(t, options{Policy: aside(s), MaxStaleness: bound}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
				want(t, b, 1, "old")
				c.lose(t, env, func() {
					s.Put(1, "new")
					must(t, a.Invalidate(t.Context(), 1))
				})
				time.Sleep(2 * bound) // of the bubble
				synctest.Wait()
				var err error
				if got, err = b.Get(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
			return got
		}
		t.Run(c.name, func(t *testing.T) {
			if got := run(t); got != "new" {
				t.Errorf("%q was served past the bound", got)
			}
			defer weaken.Switch(c.off)()
			if got := run(t); got != "old" {
				t.Errorf("%q without %v: this test proves nothing", got, c.off)
			}
		})
	}
}
