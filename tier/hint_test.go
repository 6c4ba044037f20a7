package tier_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/tier/tiertest"
)

// slowAnswers is a driver whose writes have happened some time before it says so.
type slowAnswers struct {
	driver.Driver
	by time.Duration
}

func (d slowAnswers) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	defer time.Sleep(d.by) // of the bubble
	return d.Driver.Write(ctx, ops)
}

func TestWhoWaitsBeforeTheLoaderKnowsOfItsLeaseIsWoken(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], _, b *cache) {
		const by = 5 * time.Millisecond
		slow := env.Store.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return slowAnswers{d, by} }})
		a := tiertest.Node(t, env, "c", &options{Remote: slow, Policy: aside(s)})
		time.Sleep(time.Minute) // of the bubble: trust
		want(t, a, 2, "w")      // the markers are read
		before := s.Loads()
		release := s.Block()
		first := getBehind(t, a)
		synctest.Wait() // the lease is there, and the answer on its way
		if at(t, env) == nil {
			t.Error("no lease")
		}
		second := getBehind(t, b)
		time.Sleep(10 * time.Second) // of the bubble
		began := time.Now()
		release()
		<-first
		if g := <-second; g.value != "v" || g.err != nil {
			t.Errorf("who waited got %+v", g)
		}
		if late := time.Since(began); late > 2*by {
			t.Errorf("who waited was woken after %v", late)
		}
		if n := s.Loads() - before; n != 1 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestWhoTakesTheTurnOfALoadThatFailedWakesTheOthers(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		c := tiertest.Node(t, env, "c", &options{Policy: aside(s)})
		time.Sleep(time.Minute) // of the bubble: trust
		broken, first := make(chan struct{}), make(chan error)
		go func() { // ends with broken
			_, err := a.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { <-broken; return "", errors.New("broken") })
			first <- err
		}()
		synctest.Wait()
		second, third := getBehind(t, b), getBehind(t, c)
		time.Sleep(10 * time.Second) // of the bubble
		release := s.Block()
		close(broken)
		if err := <-first; err == nil {
			t.Error("the load did not fail")
		}
		must(t, s.AwaitLoads(t.Context(), 1))
		time.Sleep(10 * time.Second) // of the bubble
		began := time.Now()
		release()
		for _, done := range []<-chan got{second, third} {
			if g := <-done; g.value != "v" || g.err != nil {
				t.Errorf("who waited got %+v", g)
			}
		}
		if late := time.Since(began); late > time.Millisecond {
			t.Errorf("the last one was woken after %v", late)
		}
		if n := s.Loads(); n != 1 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestWhoAHintWouldWakeIsInNoHurry(t *testing.T) {
	t.Parallel()
	two(t, options{}, func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string], a, b *cache) {
		release := s.Block()
		first := getBehind(t, a)
		must(t, s.AwaitLoads(t.Context(), 1))
		second := getBehind(t, b)
		synctest.Wait()
		before := env.Remote.Reads()
		time.Sleep(4 * time.Millisecond) // of the bubble
		if n := env.Remote.Reads() - before; n > 0 {
			t.Errorf("%d looks at once", n)
		}
		release()
		<-first
		<-second
	})
}
