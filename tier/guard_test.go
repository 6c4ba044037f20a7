package tier_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A rewindable is a remote tier that can be restored from a snapshot, and its bus.
type rewindable struct {
	t      *testing.T
	store  *backend.Store
	memory *memory.Memory
	hub    *membus.Hub
	source *tiertest.Source[int, string]
	events []string
}

// rewinds runs do in a bubble, with key 1 old and keys 2 to 9 as they are, twice: as it is, where the old value must not be served,
// and with the guard off, where it must.
func rewinds(t *testing.T, do func(e *rewindable) (reader *cache)) {
	for name, old := range map[string]bool{"with the guard": false, "without": true} {
		t.Run(name, func(t *testing.T) { // not parallel: the switch is the process's
			if old {
				defer weaken.Switch(weaken.Guard)()
			}
			synctest.Test(t, func(t *testing.T) {
				e := &rewindable{t: t, store: memory.New(nil), hub: membus.NewHub(), source: tiertest.NewSource[int, string]()}
				if !e.store.As(&e.memory) {
					t.Fatal("no memory")
				}
				t.Cleanup(func() { e.store.Close() })
				for k := 1; k < 10; k++ {
					e.source.Put(k, "old")
				}
				reader := do(e)
				got, err := reader.Get(t.Context(), 1)
				must(t, err)
				if (got == "old") != old {
					t.Errorf("the value is %q", got)
				}
			})
		})
	}
}

// node starts a node and waits until it is trusted. die ends it as a process ends.
func (e *rewindable) node() (c *cache, die func()) {
	bus := membus.Bus(e.hub, nil)
	c, err := tier.New("test", &options{Remote: e.store, Bus: bus, Policy: aside(e.source), MaxStaleness: time.Second, OnEvent: func(ev tier.Event) {
		if ev.Kind == tier.EventRewind {
			e.events = append(e.events, ev.Err.Error())
		}
	}})
	must(e.t, err)
	die = func() {
		c.Close()
		bus.Close()
	}
	e.t.Cleanup(die)
	time.Sleep(time.Minute)
	synctest.Wait()
	return c, die
}

// overwritten lets a reader and a writer fill all keys, takes a snapshot, and has the writer invalidate key 1.
func (e *rewindable) overwritten() (reader *cache, writerDies func(), before *memory.Snapshot) {
	reader, _ = e.node()
	writer, die := e.node()
	for k := 1; k < 10; k++ {
		want(e.t, writer, k, "old")
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	before = e.memory.Snapshot()
	e.source.Put(1, "new")
	must(e.t, writer.Invalidate(e.t.Context(), 1))
	synctest.Wait()
	return reader, die, before
}

func (e *rewindable) loads() int { return e.source.Loads() }

func TestAnInvalidationThatAServerForgotHoldsAlthoughItsWriterDied(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, die, before := e.overwritten()
		die()
		must(t, e.memory.Restore(before))
		return reader // at once
	})
}

func TestWhatAServerDidNotForgetIsStillUsed(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, die, before := e.overwritten()
		die()
		must(t, e.memory.Restore(before))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		loads := e.loads()
		for k := 2; k < 10; k++ {
			want(t, reader, k, "old")
		}
		if n := e.loads() - loads; n != 0 {
			t.Errorf("%d keys were loaded anew", n)
		}
		if !weaken.Off(weaken.Guard) && (len(e.events) != 2 || !strings.Contains(e.events[1], " 1 keys were deleted again")) {
			t.Errorf("events: %q", e.events)
		}
		return reader
	})
}

func TestANodeThatStartsAfterTheRewindServesNothingOld(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		_, die, before := e.overwritten()
		die()
		must(t, e.memory.Restore(before))
		fresh, _ := e.node()
		return fresh
	})
}

func TestAServerOfWhichNobodyKnowsWhatItForgotIsLoadedAnew(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, die, before := e.overwritten()
		die()
		must(t, reader.Close())
		for _, c := range []func() (*cache, func()){e.node, e.node} { // none of these has heard of the invalidation
			c()
		}
		must(t, e.memory.Restore(before))
		fresh, _ := e.node()
		loads := e.loads()
		for k := 2; k < 10; k++ {
			want(t, fresh, k, "old")
		}
		if n := e.loads() - loads; n != 8 && !weaken.Off(weaken.Guard) {
			t.Errorf("%d keys were loaded anew", n)
		}
		return fresh
	})
}

func TestAReplyFromBeforeTheRewindIsAskedForAgain(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, die, before := e.overwritten()
		die()
		far := &farAway{backend: overStore{e.store}, most: time.Nanosecond}
		var first atomic.Bool
		far.afterGet = func(keys []string) {
			if strings.HasSuffix(keys[0], "{1}") && first.CompareAndSwap(false, true) {
				time.Sleep(20 * time.Second) // all is made good meanwhile
			}
		}
		bus := membus.Bus(e.hub, nil)
		slow, err := tier.New("test", &options{Remote: backend.New(far), Bus: bus, Policy: aside(e.source), MaxStaleness: time.Second})
		must(t, err)
		t.Cleanup(func() { slow.Close(); bus.Close() })
		time.Sleep(time.Second)
		must(t, e.memory.Restore(before))
		want(t, reader, 2, "old") // somebody notices
		return slow
	})
}

func TestAServerAndItsBusThatComeBackTogetherServeNothingOld(t *testing.T) {
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, die, before := e.overwritten()
		die()
		e.hub.Stop()
		must(t, e.memory.Restore(before))
		e.hub.Restart()
		e.hub.Start()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		loads := e.loads()
		for k := 2; k < 10; k++ {
			want(t, reader, k, "old")
		}
		if n := e.loads() - loads; n != 0 {
			t.Errorf("%d keys were loaded anew", n)
		}
		return reader
	})
}

func TestAWriterWhoseServerIsReplacedMeanwhileWritesAgain(t *testing.T) {
	replaced(t, 0, func(writer *cache) error { return writer.Invalidate(context.Background(), 1) })
}

func TestAnInvalidationByPrefixWhoseServerIsReplacedMeanwhileIsDoneAgain(t *testing.T) {
	// Long and short keys are listed each by itself, and in the second listing of both none is left.
	replaced(t, 4, func(writer *cache) error { return writer.InvalidatePrefix(context.Background(), "1") })
}

// listed is a driver that tells when it has listed keys.
type listed struct {
	overStore
	then func()
}

func (l listed) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	defer l.then()
	return l.overStore.Scan(ctx, prefix, yield)
}

// replaced has key 1 invalidated by a writer whose server comes back with older data before it has announced that: after its first
// write, or after so many listings.
func replaced(t *testing.T, listings int32, invalidate func(writer *cache) error) {
	t.Helper()
	rewinds(t, func(e *rewindable) *cache {
		t := e.t
		reader, _, _ := e.overwritten()
		want(t, reader, 1, "new")
		e.source.Put(1, "old")
		must(t, reader.Invalidate(t.Context(), 1))
		want(t, reader, 1, "old")
		time.Sleep(time.Minute) // the testimony is sure of that
		before := e.memory.Snapshot()
		var armed atomic.Bool
		var listing atomic.Int32
		replace := func() {
			if !armed.CompareAndSwap(true, false) {
				return
			}
			must(t, e.memory.Restore(before))
			_, err := reader.Get(t.Context(), 2, tier.SkipLocalRead()) // it notices
			must(t, err)
			time.Sleep(10 * time.Second) // and vouches for what it has heard of, while the writer has not announced yet
		}
		far := &farAway{most: time.Nanosecond, backend: listed{overStore{e.store}, func() {
			if listing.Add(1) == listings {
				replace()
			}
		}}}
		if listings == 0 {
			far.afterWrite = replace
		}
		bus := membus.Bus(e.hub, nil)
		writer, err := tier.New("test", &options{Remote: backend.New(far), Bus: bus, Policy: aside(e.source), MaxStaleness: time.Second})
		must(t, err)
		die := func() { writer.Close(); bus.Close() }
		t.Cleanup(die)
		time.Sleep(time.Second)
		e.source.Put(1, "new")
		armed.Store(true)
		must(t, invalidate(writer))
		if armed.Load() {
			t.Error("the server was not replaced")
		}
		die()
		time.Sleep(10 * time.Second)
		return reader
	})
}

func TestGuardCommandsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, hub := memory.New(nil), membus.NewHub()
		defer store.Close()
		far := &farAway{backend: overStore{store}, most: time.Nanosecond}
		bus := membus.Bus(hub, nil)
		defer bus.Close()
		c, err := tier.New("test", &options{Remote: backend.New(far), Bus: bus})
		must(t, err)
		defer c.Close()
		calls := func(what string, atMost int64, do func()) {
			t.Helper()
			before := far.calls.Load()
			do()
			synctest.Wait()
			if n := far.calls.Load() - before; n > atMost {
				t.Errorf("%s: %d calls, want at most %d", what, n, atMost)
			}
		}
		calls("at the beginning", 3, func() { time.Sleep(5 * time.Second) })
		calls("idle, in a minute", 7, func() { time.Sleep(time.Minute) })
		calls("an invalidation, and two testimonies", 3, func() {
			must(t, c.Invalidate(t.Context(), 1))
			time.Sleep(5 * time.Second)
		})
		calls("writing all the time, in a minute", 60*1000/600+6000+8, func() {
			for range 6000 {
				must(t, c.Invalidate(t.Context(), 1))
				time.Sleep(10 * time.Millisecond)
			}
		})
	})
}
