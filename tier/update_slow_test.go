package tier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/fault"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier/tiertest"
)

// Where the announcement comes so late that the server may have gone back meanwhile, what is there is not thrown away.
func TestAnUpdateThatTakesLongIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, hub, source := new(faults), membus.NewHub(), tiertest.NewSource[int, string]()
		store := memory.New(nil).With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return fault.Wrap(d, f) }})
		t.Cleanup(func() { store.Close() })
		var nodes []*cache
		for range 2 {
			bus := membus.Bus(hub, nil)
			t.Cleanup(func() { bus.Close() })
			nodes = append(nodes, open(t, &options{Remote: store, Bus: bus, Policy: aside(source)}))
		}
		time.Sleep(time.Minute) // of the bubble, until they are trusted
		source.Put(1, "old")
		want(t, nodes[0], 1, "old")
		want(t, nodes[1], 1, "old")
		source.Put(1, "of the source")
		f.set(fault.Delay(time.Second).If(fault.And(fault.On(fault.Swap), fault.Nth(1))))
		updated(t, nodes[0], 1, "+", "old+")
		synctest.Wait()
		for _, c := range nodes {
			want(t, c, 1, "old+")
		}
	})
}
