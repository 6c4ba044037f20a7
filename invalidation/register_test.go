package invalidation_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// registerTries is how often a Load is tried while others change the register.
const registerTries = 10

// keeper is a transport whose registers are functions.
type keeper struct {
	invalidation.Transport
	read  func(ctx context.Context) (invalidation.Registered, error)
	write func(w invalidation.RegisterWrite) (uint64, bool, error)
}

func (k *keeper) ReadRegister(ctx context.Context, _ string) (invalidation.Registered, error) {
	return k.read(ctx)
}

func (k *keeper) WriteRegister(_ context.Context, _ string, w invalidation.RegisterWrite) (uint64, bool, error) {
	return k.write(w)
}

// server returns a keeper of one register, and the register, which a test changes behind its back.
func server(hub *membus.Hub) (*keeper, *invalidation.Registered) {
	stands := &invalidation.Registered{}
	return &keeper{
		Transport: hub.Transport(),
		read:      func(context.Context) (invalidation.Registered, error) { return *stands, nil },
		write: func(w invalidation.RegisterWrite) (uint64, bool, error) {
			if w.Epoch != stands.Epoch || w.Since == 0 && w.Epoch != 0 && !stands.Current {
				return 0, false, nil
			}
			epoch := max(w.Epoch, w.Above) + 1
			*stands = invalidation.Registered{Value: w.Value, Epoch: epoch, Since: cmp.Or(w.Since, epoch), Current: true}
			return epoch, true, nil
		},
	}, stands
}

func registry(t *testing.T, tr invalidation.Transport) (*invalidation.Bus, *invalidation.Registry) {
	t.Helper()
	bus := invalidation.New(tr, nil)
	t.Cleanup(func() { bus.Close() })
	r, err := invalidation.Register(bus, "pool")
	if err != nil {
		t.Fatal(err)
	}
	return bus, r
}

func wantLoad(t *testing.T, r *invalidation.Registry, value string, epoch uint64) {
	t.Helper()
	if v, e, err := r.Load(t.Context()); string(v) != value || e != epoch || err != nil {
		t.Errorf("loaded %q at epoch %d, %v; want %q at %d", v, e, err, value, epoch)
	}
}

func TestATransportWithoutRegistersSaysSo(t *testing.T) {
	t.Parallel()
	bus := invalidation.New(struct{ invalidation.Transport }{membus.NewHub().Transport()}, nil)
	defer bus.Close()
	if _, err := invalidation.Register(bus, "pool"); !errors.Is(err, invalidation.ErrUnsupported) {
		t.Errorf("Register: %v, want ErrUnsupported", err)
	}
	for _, name := range []string{"", strings.Repeat("n", invalidation.MaxName+1)} {
		if _, err := invalidation.Register(bus, name); err == nil || errors.Is(err, invalidation.ErrUnsupported) {
			t.Errorf("Register with a name of %d bytes: %v", len(name), err)
		}
	}
}

func TestANodePutsBackWhatTheServerForgot(t *testing.T) {
	t.Parallel()
	k, stands := server(membus.NewHub())
	_, r := registry(t, k)
	*stands = invalidation.Registered{Value: []byte("seven"), Epoch: 7, Since: 7, Current: true}
	wantLoad(t, r, "seven", 7)
	*stands = invalidation.Registered{Value: []byte("three"), Epoch: 3, Since: 3} // an old snapshot
	wantLoad(t, r, "seven", 8)
	*stands = invalidation.Registered{}
	wantLoad(t, r, "seven", 9)
	// The same snapshot, which a node that knew no better has taken for the last.
	*stands = invalidation.Registered{Value: []byte("three"), Epoch: 20, Since: 3, Current: true}
	wantLoad(t, r, "seven", 21)
	if string(stands.Value) != "seven" || stands.Epoch != 21 || stands.Since != 7 {
		t.Errorf("the server has %q at %d since %d", stands.Value, stands.Epoch, stands.Since)
	}
	// Nothing is lost, but who knows that? The value stays, its epoch does not.
	stands.Current = false
	if _, swapped, err := r.Swap(t.Context(), []byte("new"), 21); swapped || err != nil {
		t.Errorf("Swap from an epoch of another incarnation: %t, %v", swapped, err)
	}
	wantLoad(t, r, "seven", 22)
	wantLoad(t, r, "seven", 22)
	if _, swapped, err := r.Swap(t.Context(), []byte("new"), 22); !swapped || err != nil {
		t.Errorf("Swap: %t, %v", swapped, err)
	}
	wantLoad(t, r, "new", 23)
}

func TestANodeThatKnowsNothingWaitsForThoseWhoKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		k, _ := server(hub)
		_, r := registry(t, k)
		synctest.Wait()
		old := invalidation.Registered{Value: []byte("three"), Epoch: 3, Since: 3}

		began := time.Now()
		k.read = func(context.Context) (invalidation.Registered, error) {
			if time.Since(began) < time.Second {
				return old, nil
			}
			return invalidation.Registered{Value: []byte("seven"), Epoch: 9, Since: 7, Current: true}, nil
		}
		go func() {
			time.Sleep(time.Second)
			hub.Restart() // as any news, it makes those look who wait
		}()
		wantLoad(t, r, "seven", 9)
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %v for somebody who came after a second", took)
		}

		k, stands := server(hub)
		_, r = registry(t, k)
		*stands = old
		go func() {
			for range 2 * registerTries {
				time.Sleep(10 * time.Millisecond)
				hub.Restart()
			}
		}()
		began = time.Now()
		wantLoad(t, r, "three", 4)
		if stands.Since != 3 {
			t.Errorf("it stands since %d", stands.Since)
		}
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("waited %v for nobody", took)
		}

		k, stands = server(hub)
		_, r = registry(t, k)
		*stands = old
		for tries := 0; ; tries++ { // of a caller with little patience
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			value, _, err := r.Load(ctx)
			cancel()
			if err == nil {
				if string(value) != "three" || tries < 10 {
					t.Errorf("loaded %q at try %d", value, tries)
				}
				break
			}
			if err != context.DeadlineExceeded || tries > 100 {
				t.Fatalf("Load within 100ms, at try %d: %v", tries, err)
			}
		}
	})
}

func TestARegisterIsSharedByAllWhoAskTheBusForIt(t *testing.T) {
	t.Parallel()
	k, stands := server(membus.NewHub())
	bus, r := registry(t, k)
	value := []byte("mine")
	if _, _, err := r.Swap(t.Context(), value, 0); err != nil {
		t.Fatal(err)
	}
	value[0] = 'x'
	loaded, _, _ := r.Load(t.Context())
	loaded[0] = 'y'
	*stands = invalidation.Registered{}
	again, err := invalidation.Register(bus, "pool")
	if err != nil || again != r {
		t.Errorf("a second Register of the name: %p and %p, %v", r, again, err)
	}
	loaded, _, _ = again.Load(t.Context()) // put back
	loaded[0] = 'z'
	*stands = invalidation.Registered{}
	wantLoad(t, again, "mine", 3)
}

func TestACancelledCallOfARegisterReturnsTheContextsError(t *testing.T) {
	t.Parallel()
	k, _ := server(membus.NewHub())
	ctx, cancel := context.WithCancel(t.Context())
	k.read = func(inner context.Context) (invalidation.Registered, error) {
		cancel()
		<-inner.Done()
		return invalidation.Registered{}, inner.Err()
	}
	_, r := registry(t, k)
	if _, _, err := r.Load(ctx); err != context.Canceled {
		t.Errorf("Load: %v, want context.Canceled itself", err)
	}
}

func TestALoadThatIsAlwaysOvertakenEnds(t *testing.T) {
	t.Parallel()
	k, _ := server(membus.NewHub())
	k.read = func(context.Context) (invalidation.Registered, error) {
		return invalidation.Registered{Epoch: 5, Since: 4}, nil
	}
	k.write = func(w invalidation.RegisterWrite) (uint64, bool, error) { return 9, w.Since == 0, nil }
	_, r := registry(t, k)
	if _, _, err := r.Swap(t.Context(), nil, 0); err != nil { // newer than what the server has for ever after
		t.Fatal(err)
	}
	if _, _, err := r.Load(t.Context()); !errors.Is(err, invalidation.ErrUnavailable) {
		t.Errorf("Load: %v", err)
	}
}

func TestAnEpochThatDoesNotGrowIsRefused(t *testing.T) {
	t.Parallel()
	k, _ := server(membus.NewHub())
	_, r := registry(t, k)
	for _, epoch := range []uint64{0, 4, 5, invalidation.MaxEpoch + 1} {
		k.write = func(invalidation.RegisterWrite) (uint64, bool, error) { return epoch, true, nil }
		if at, swapped, err := r.Swap(t.Context(), nil, 5); at != 0 || swapped || err == nil {
			t.Errorf("epoch %d after 5: %d, %t, %v", epoch, at, swapped, err)
		}
	}
}

func TestThoseWhoWatchARegisterHearOfAllTheyMayHaveMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := membus.NewHub()
		_, a := registry(t, hub.Transport())
		_, b := registry(t, hub.Transport())
		synctest.Wait()
		heard, stop := b.Changed()
		defer stop()
		expect := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if got := len(heard); got != want {
				t.Errorf("%s: %d signals, want %d", what, got, want)
			}
			for len(heard) > 0 {
				<-heard
			}
		}
		time.Sleep(10 * time.Second)
		expect("heartbeats", 0)
		epoch, _, err := a.Swap(t.Context(), []byte("1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		expect("a change", 1)
		if _, swapped, _ := a.Swap(t.Context(), []byte("no"), 0); swapped {
			t.Fatal("swapped from an epoch that has passed")
		}
		expect("no change", 0)
		hub.Drop(1)
		if _, _, err := a.Swap(t.Context(), []byte("2"), epoch); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		expect("a change whose announcement was lost, and the heartbeat that shows it", 1)
		hub.Cut()
		expect("a new subscription that missed nothing", 0)
		hub.Pause()
		if _, _, err := a.Swap(t.Context(), []byte("3"), epoch+1); err != nil {
			t.Fatal(err)
		}
		hub.Cut()
		hub.Resume()
		expect("a change that was given again", 1)
		hub.Restart()
		expect("another log", 1)
		stop()
		hub.Restart()
		expect("the end of the watch", 0)
	})
}

func TestCloseEndsCallsOfRegistersAndWaitsForThem(t *testing.T) {
	t.Parallel()
	k, _ := server(membus.NewHub())
	entered, ended := make(chan struct{}), false
	k.read = func(ctx context.Context) (invalidation.Registered, error) {
		close(entered)
		<-ctx.Done()
		ended = true
		return invalidation.Registered{}, ctx.Err()
	}
	bus, r := registry(t, k)
	failed := make(chan error, 1)
	go func() {
		_, _, err := r.Load(t.Context())
		failed <- err
	}()
	<-entered
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	if !ended { // the race detector sees a Close that does not wait, too
		t.Error("Close returned before the call had")
	}
	_, _, later := r.Load(t.Context())
	_, _, swap := r.Swap(t.Context(), nil, 0)
	_, register := invalidation.Register(bus, "pool")
	for what, err := range map[string]error{"under way": <-failed, "Load": later, "Swap": swap, "Register": register} {
		if !errors.Is(err, invalidation.ErrClosed) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
}
