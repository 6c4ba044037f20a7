package tier_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// stalled is a source whose first batch is held up on its way, by something that does not know of contexts.
type stalled struct {
	*ledger
	forgetful bool // it does not look at versions
	calls     atomic.Int32
	release   chan struct{}
}

func (s *stalled) StoreMany(ctx context.Context, changes []policy.Change[int, string]) error {
	if s.calls.Add(1) == 1 {
		<-s.release
	}
	if s.forgetful {
		for _, ch := range changes {
			s.Put(ch.Key, ch.Value)
		}
	}
	return s.ledger.StoreMany(context.WithoutCancel(ctx), changes)
}

// silent is a journal whose node tells nobody that it is still at work, as a process that stands still.
type silent struct{ journal.Journal }

type silentQueue struct{ journal.Queue }

func (j silent) Open(name string, o journal.Options) (journal.Queue, error) {
	q, err := j.Journal.Open(name, o)
	return silentQueue{q}, err
}

func (silentQueue) Keep(context.Context, []journal.Entry) error { return nil }

func TestABatchThatComesLateOverwritesNothingNewer(t *testing.T) {
	t.Parallel()
	for _, forgetful := range []bool{false, true} {
		t.Run(fmt.Sprintf("forgetful=%v", forgetful), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				env, hub := tiertest.New(t), memjournal.NewHub()
				table := &stalled{ledger: newLedger(nil), forgetful: forgetful, release: make(chan struct{})}
				node := func(j journal.Journal) *cache {
					t.Cleanup(func() { must(t, j.Close()) })
					return tiertest.Node(t, env, "c", &tier.Options[int, string]{
						Policy: policy.WriteBehind[int, string](table, j, &journal.Options{Workers: 1, TakeOver: 3 * time.Second}), LocalCost: -1,
					})
				}
				a := node(silent{hub.Journal()})
				must(t, a.Set(t.Context(), 1, "first"))
				synctest.Wait() // its batch stands still
				b := node(hub.Journal())
				time.Sleep(10 * time.Second) // b takes over
				if v := table.Values()[1]; v != "first" {
					t.Fatalf("nobody took over: the source has %q", v)
				}
				must(t, b.Set(t.Context(), 1, "second"))
				time.Sleep(time.Second)
				close(table.release)
				time.Sleep(time.Second)
				told := table.of(1)
				if n := len(told); n != 3 || told[0].ID != told[2].ID || told[0].ID == told[1].ID || told[1].Version <= told[2].Version {
					t.Fatalf("the source was told %+v", told)
				}
				want := map[bool]string{false: "second", true: "first"}[forgetful] // which is what versions are for
				if v := table.Values()[1]; v != want {
					t.Errorf("the source has %q", v)
				}
				if s, err := b.Backlog(t.Context()); err != nil || s.Depth != 0 {
					t.Errorf("%+v, %v", s, err)
				}
			})
		})
	}
}
