package invalidation_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

func TestStatsTellOfTrustLagAndNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		hub.Pause() // nothing comes back yet
		a := startOn(t, newWired(hub), nil)
		b := startOn(t, newWired(hub), nil)
		other := invalidation.New(hub.Transport(), nil)
		if st := a.bus.Stats(); st.TrustMargin != 0 || st.LeastTrustMargin != 0 {
			t.Errorf("before any trust: %+v", st)
		}
		hub.Resume()
		time.Sleep(3*bound + bound/10)
		synctest.Wait()
		// Heartbeats are a fifth of the bound apart and under way for no time: four fifths are left at least.
		if st := a.bus.Stats(); st.Nodes != 3 || st.Lag != 0 || st.MaxLag != 0 || st.TrustMargin <= bound/2 || st.TrustMargin > bound ||
			st.LeastTrustMargin < bound*4/5 || st.LeastTrustMargin > st.TrustMargin {
			t.Errorf("in peace: %+v", st)
		}
		hub.Pause()
		time.Sleep(bound / 2)
		hub.Resume()
		synctest.Wait()
		if st := a.bus.Stats(); st.LeastTrustMargin < bound*3/10 || st.LeastTrustMargin > bound/2 || st.MaxLag < bound*3/10 || st.MaxLag > bound/2 {
			t.Errorf("after half a bound of silence: %+v", st)
		}
		hub.Pause()
		time.Sleep(2 * bound)
		synctest.Wait()
		if st := a.bus.Stats(); st.TrustMargin > -bound*8/10 || st.LeastTrustMargin != st.TrustMargin {
			t.Errorf("in silence: %+v", st)
		}
		hub.Resume()
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if err := b.bus.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if st := a.bus.Stats(); st.Nodes != 1 || st.LeastTrustMargin > -bound*8/10 {
			t.Errorf("alone: %+v", st)
		}
	})
}
