package tier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// Not parallel: a suspend is the whole process's, as are the switches.
func TestAMachineThatWasSuspendedServesNothingOld(t *testing.T) {
	const bound, slept = 3 * time.Second, time.Hour
	o := options{MaxStaleness: bound}
	bus := func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string]) (reader, writer *cache) {
		o := o
		o.Policy = aside(s)
		reader, writer = tiertest.Node(t, env, "c", &o), tiertest.Node(t, env, "c", &o)
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		return reader, writer
	}
	none := func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string]) (reader, writer *cache) {
		o := o
		o.Policy, o.Remote = aside(s), env.Store
		return open(t, &o), open(t, &o)
	}
	for name, nodes := range map[string]func(*testing.T, *tiertest.Env, *tiertest.Source[int, string]) (reader, writer *cache){
		"with a bus": bus, "without a bus": none,
	} {
		run := func(t *testing.T) (got string) {
			s := sourceOf(map[int]string{1: "old"})
			synctest.Test(t, func(t *testing.T) {
				env := tiertest.New(t)
				reader, writer := nodes(t, env, s)
				want(t, reader, 1, "old")
				if r, _ := reader.Lookup(t.Context(), 1); r.Tier != tier.Local {
					t.Fatalf("before the suspend from %v", r.Tier)
				}
				env.Hub.Pause() // who sleeps hears nothing
				s.Put(1, "new")
				must(t, writer.Invalidate(t.Context(), 1))
				defer mono.Suspend(slept)()
				time.Sleep(time.Millisecond) // of the bubble
				var err error
				if got, err = reader.Get(t.Context(), 1); err != nil {
					t.Error(err)
				}
			})
			return got
		}
		t.Run(name, func(t *testing.T) {
			if got := run(t); got != "new" {
				t.Errorf("%q was served after a suspend of %v", got, slept)
			}
			defer weaken.Switch(weaken.Suspend)()
			if got := run(t); got != "old" {
				t.Errorf("%q without %v: this test proves nothing", got, weaken.Suspend)
			}
		})
	}
}

// What was sent before the suspend says nothing about what was announced during it.
func TestAHeartbeatThatWasUnderWayDuringASuspendExtendsNoTrust(t *testing.T) {
	const bound = 2 * time.Second
	s := sourceOf(map[int]string{1: "old"})
	bubble(t, options{Policy: aside(s), MaxStaleness: bound}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
		want(t, b, 1, "old")
		env.Hub.Pause()
		time.Sleep(bound / 2) // of the bubble: heartbeats are sent
		defer mono.Suspend(time.Hour)()
		env.Hub.Resume() // and come back
		synctest.Wait()
		time.Sleep(time.Millisecond)
		if b.Stats().Trusted {
			t.Error("trusted by a heartbeat from before the suspend")
		}
		time.Sleep(bound) // of the bubble
		if !b.Stats().Trusted {
			t.Error("not trusted by those of after it")
		}
	})
}
