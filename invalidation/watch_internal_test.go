package invalidation

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestNobodyIsToldWhoseWatchHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(&simLog{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 { // without a loop, with one that is left, and without either
			if _, err := b.Watch(ctx); err != nil {
				t.Fatal(err)
			}
		}
		last, err := b.Watch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		b.watchers.missed(FlushGap, Position{N: 1})
		cancel()
		synctest.Wait()
		if n := len(*b.watchers.list.Load()); n != 1 {
			t.Errorf("%d watchers, want 1", n)
		}
		for range last {
			break
		}
		synctest.Wait()
		if list := b.watchers.list.Load(); list != nil {
			t.Errorf("%d watchers are left", len(*list))
		}
		if _, err := b.Watch(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.cancel()
		synctest.Wait()
		if list := b.watchers.list.Load(); list != nil {
			t.Errorf("%d watchers are left of a bus that closed", len(*list))
		}
	})
}

func TestVerbsOfLaterVersionsAreMissed(t *testing.T) {
	t.Parallel()
	b := newBus(&simLog{}, nil)
	defer b.cancel()
	named, all, others := &watcher{caches: []string{"c"}}, &watcher{}, &watcher{caches: []string{"other"}}
	for _, w := range []*watcher{named, all, others} {
		b.watchers.add(w)
	}
	at := Position{N: 7}
	b.watchers.announced(at, false, []Message{{Verb: 77, Cache: "c", Keys: []string{"k"}, Node: NodeID{1}}})
	for _, w := range []*watcher{named, all} {
		got := w.take()
		if len(got) != 1 || got[0].Missed != FlushVerb || got[0].Verb != VerbClear || got[0].Cache != "c" || got[0].Keys != nil || got[0].Position != at {
			t.Errorf("told %+v", got)
		}
	}
	if got := others.take(); got != nil {
		t.Errorf("who watches another cache is told %+v", got)
	}
}

func TestABusThatNobodyWatchesAllocatesNothingForIt(t *testing.T) { // not parallel: it counts what the process allocates
	b := newBus(&simLog{}, nil)
	defer b.cancel()
	messages := []Message{{Verb: VerbInvalidate, Cache: "c", Keys: []string{"k"}}}
	if n := testing.AllocsPerRun(100, func() { b.watchers.announced(Position{N: 1}, false, messages) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
