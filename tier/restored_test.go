package tier_test

import (
	"testing"
	"time"
)

// seek makes c look after the record of markers, and returns when it has, or could not.
func (f *fleet) seek(c *cache) {
	f.Helper()
	if _, _, err := c.Peek(f.Context(), 99); err != nil {
		f.Error(err)
	}
}

// lostAfter warms the fleet, ages its copies of the markers, and has the record lost right after an invalidation that is
// acknowledged: it stands nowhere but in the log.
func (f *fleet) lostAfter(befall func()) {
	f.Helper()
	f.warm()
	f.rest(time.Minute)
	befall()
	f.change(1)
	must(f.T, f.a.InvalidateTag(f.Context(), "odd"))
	f.lose()
}

// A node that restores the record after a Clear, of which it has only heard, includes that.
func TestRestoredMarkersHaveAClearThatWasOnlyHeard(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(0)
		must(t, f.a.Clear(t.Context()))
		f.rest(0)
		f.lose()
		f.seek(f.b)
		f.want(f.node(), 0, "new")
	})
}

// The announcement is under way to the node that finds the record gone: it was acknowledged, and looked up, before the loss.
func TestWhoRestoresTheMarkersHasHeardWhatWasAnnouncedBefore(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.lostAfter(f.env.Hub.Pause)
		time.AfterFunc(200*time.Millisecond, f.env.Hub.Resume)
		f.seek(f.b)
		f.rest(0)
		loads := f.source.Loads()
		for _, c := range []*cache{f.node(), f.b} {
			f.want(c, 1, "new")
			f.want(c, 0, "old")
		}
		if n := f.source.Loads() - loads; n != 1 {
			t.Errorf("%d loads, want that of the key which was invalidated: the record was not restored", n)
		}
	})
}

// The same, and it does not come in time.
func TestWhoMayNotHaveHeardAllDoesNotRestoreTheMarkers(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.lostAfter(f.env.Hub.Pause)
		f.seek(f.b)
		f.env.Hub.Resume()
		f.rest(10 * time.Second)
		f.want(f.b, 1, "new")
		f.want(f.node(), 1, "new")
	})
}

// The announcement never came, and the node knows that something did not.
func TestAfterAGapNobodyRestoresTheMarkers(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.env.Hub.Reach(0) // nothing can be had again
		f.lostAfter(func() { f.env.Hub.Drop(1) })
		f.rest(time.Second)
		f.seek(f.b)
		f.want(f.node(), 1, "new")
		f.want(f.b, 1, "new")
		f.want(f.node(), 0, "old")
	})
}

// What came before the copy was made is in it.
func TestAGapFromBeforeTheCopyIsNoObstacle(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.env.Hub.Reach(0)
		f.env.Hub.Drop(1)
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(time.Second)
		f.seek(f.b)
		f.lose()
		f.rest(time.Minute) // so that b looks again
		f.seek(f.b)
		loads := f.source.Loads()
		f.want(f.node(), 0, "old")
		f.want(f.node(), 1, "new")
		if n := f.source.Loads() - loads; n != 1 {
			t.Errorf("%d loads, want that of the key which was invalidated: the record was not restored", n)
		}
	})
}
