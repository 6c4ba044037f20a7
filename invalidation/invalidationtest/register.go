package invalidationtest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// registerCases is the specification of registers. All but the first two go through the portable Registry: what its users
// rely on is what counts.
var registerCases = []testCase{
	{"registers are declared", "keep registers if its harness says so, and else leave Register with ErrUnsupported", registersDeclared},
	{"register in the log", "append the frame of a change to the log in the step that makes it, and nothing if there is no change", registerInTheLog},
	{"register empty", "say that nothing is registered with epoch 0, and only then", registerEmpty},
	{"register swap", "change a register only from the epoch that stands there, and give each value a greater one", registerSwap},
	{"register race", "let one of those win who swap from the same epoch", registerRace},
	{"register changed", "tell the watchers of every node of a change", registerChanged},
	{"register any bytes", "keep any bytes, up to MaxRegister, and each name's apart", registerAnyBytes},
	{"register lost", "never give an epoch again after it lost its data", registerLost},
	{"register restored", "say when a register was written in another incarnation of the log", registerRestored},
	{"register outage", "answer an outage with ErrUnavailable and never with an empty register", registerOutage},
	{"register cancel", "end with the context's error when it ends, and change nothing if it had ended before", registerCancelled},
}

// pool is the register that the cases use.
const pool = "pool"

// registrar opens a transport, or skips where it keeps no registers.
func (s *suite) registrar() (invalidation.Transport, invalidation.Registrar) {
	s.Helper()
	if !s.h.Registers {
		s.Skip("this transport keeps no registers")
	}
	t := s.open()
	return t, t.(invalidation.Registrar)
}

// registry starts another node and returns its register.
func (s *suite) registry() *invalidation.Registry {
	s.Helper()
	if !s.h.Registers {
		s.Skip("this transport keeps no registers")
	}
	bus := invalidation.New(s.h.Transport(s.T), nil)
	s.Cleanup(func() {
		if err := bus.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	r, err := invalidation.Register(bus, pool)
	if err != nil {
		s.Fatalf("Register: %v", err)
	}
	return r
}

func registersDeclared(s *suite) {
	t := s.h.Transport(s.T)
	bus := invalidation.New(t, nil)
	defer bus.Close()
	if _, keeps := t.(invalidation.Registrar); keeps != s.h.Registers {
		s.Fatalf("%T is a Registrar: %t, and the harness says %t", t, keeps, s.h.Registers)
	}
	switch _, err := invalidation.Register(bus, pool); {
	case s.h.Registers && err != nil:
		s.Errorf("Register: %v", err)
	case !s.h.Registers && !errors.Is(err, invalidation.ErrUnsupported):
		s.Errorf("Register: %v, want ErrUnsupported", err)
	}
}

func registerInTheLog(s *suite) {
	t, keeper := s.registrar()
	at := s.wantSubscribed(t)
	write := func(w invalidation.RegisterWrite, want bool) uint64 {
		s.Helper()
		epoch, written, err := keeper.WriteRegister(s.Context(), pool, w)
		if err != nil || written != want {
			s.Fatalf("WriteRegister from epoch %d: %t, %v", w.Epoch, written, err)
		}
		if written && (epoch <= w.Epoch || epoch <= w.Above || epoch > invalidation.MaxEpoch) {
			s.Fatalf("epoch %d, after %d and above %d", epoch, w.Epoch, w.Above)
		}
		return epoch
	}
	first := write(invalidation.RegisterWrite{Value: frame("1"), Frame: frame("one")}, true)
	at = s.wantFrames(t, at, frame("one"))
	write(invalidation.RegisterWrite{Value: frame("x"), Epoch: first - 1, Frame: frame("refused")}, false)
	const far = 1 << 52 // beyond every clock
	write(invalidation.RegisterWrite{Value: frame("2"), Epoch: first, Above: far, Frame: frame("two")}, true)
	s.publish(t, frame("three"))
	s.wantFrames(t, at, frame("two"), frame("three"))
}

// load returns what r loads; a node that was just cut may fail at first.
func (s *suite) load(r *invalidation.Registry) (value string, epoch uint64) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		v, epoch, err := r.Load(ctx)
		if err == nil {
			return string(v), epoch
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			s.Fatalf("Load: %v", err)
		}
		pause(ctx)
	}
}

// swap changes the register, which must work.
func (s *suite) swap(r *invalidation.Registry, value string, from uint64) (epoch uint64) {
	s.Helper()
	epoch, swapped, err := r.Swap(s.Context(), []byte(value), from)
	if err != nil || !swapped || epoch <= from {
		s.Fatalf("Swap from epoch %d: epoch %d, %t, %v", from, epoch, swapped, err)
	}
	return epoch
}

func (s *suite) wantRegister(r *invalidation.Registry, value string, epoch uint64) {
	s.Helper()
	if v, e := s.load(r); v != value || e != epoch {
		s.Fatalf("loaded %q at epoch %d, want %q at %d", v, e, value, epoch)
	}
}

func registerEmpty(s *suite) {
	r := s.registry()
	if value, epoch, err := r.Load(s.Context()); value != nil || epoch != 0 || err != nil {
		s.Fatalf("Load: %q, %d, %v", value, epoch, err)
	}
	if epoch, swapped, err := r.Swap(s.Context(), frame("a"), 7); epoch != 0 || swapped || err != nil {
		s.Fatalf("Swap from an epoch that never was: %d, %t, %v", epoch, swapped, err)
	}
	epoch := s.swap(r, "", 0)
	if value, at, err := r.Load(s.Context()); len(value) != 0 || at != epoch || err != nil {
		s.Fatalf("Load of an empty value: %q, %d, %v; want epoch %d", value, at, err, epoch)
	}
}

func registerSwap(s *suite) {
	a, b := s.registry(), s.registry()
	first := s.swap(a, "one", 0)
	s.wantRegister(b, "one", first)
	for _, from := range []uint64{0, first - 1, first + 1, invalidation.MaxEpoch, invalidation.MaxEpoch + 1} {
		if epoch, swapped, err := b.Swap(s.Context(), frame("no"), from); epoch != 0 || swapped || err != nil {
			s.Errorf("Swap from epoch %d where %d stands: %d, %t, %v", from, first, epoch, swapped, err)
		}
	}
	s.wantRegister(a, "one", first)
	second := s.swap(b, "two", first)
	s.wantRegister(a, "two", second)
	if second <= first {
		s.Errorf("epoch %d, then %d", first, second)
	}
}

func registerRace(s *suite) {
	const nodes, each = 4, 10
	var work sync.WaitGroup
	var mu sync.Mutex
	epochs := map[uint64]bool{}
	for range nodes {
		r := s.registry()
		work.Go(func() {
			for done := 0; done < each; {
				value, epoch, err := r.Load(s.Context())
				n, _ := strconv.Atoi(string(value))
				var swapped bool
				if err == nil {
					epoch, swapped, err = r.Swap(s.Context(), strconv.AppendInt(nil, int64(n+1), 10), epoch)
				}
				if err != nil {
					s.Errorf("Load or Swap: %v", err)
					return
				}
				if swapped {
					done++
					mu.Lock()
					epochs[epoch] = true
					mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	if value, _ := s.load(s.registry()); value != strconv.Itoa(nodes*each) || len(epochs) != nodes*each {
		s.Errorf("%d nodes added 1 %d times each: %s, in %d epochs", nodes, each, value, len(epochs))
	}
}

func registerChanged(s *suite) {
	a, b := s.registry(), s.registry()
	heard, stop := b.Changed()
	defer stop()
	other, stopOther := b.Changed()
	wait := func(r *invalidation.Registry, value string) {
		s.Helper()
		limit := time.NewTimer(patience)
		defer limit.Stop()
		for {
			if v, _ := s.load(r); v == value {
				return
			}
			select {
			case <-heard:
			case <-limit.C:
				s.Fatalf("no signal brought %q", value)
			}
		}
	}
	first := s.swap(a, "one", 0)
	wait(b, "one")
	stopOther()
	for len(other) > 0 {
		<-other
	}
	s.swap(a, "two", first)
	wait(b, "two")
	if len(other) > 0 {
		s.Error("a signal after the watch had ended")
	}
}

func registerAnyBytes(s *suite) {
	_, keeper := s.registrar()
	largest := make([]byte, invalidation.MaxRegister)
	for i := range largest {
		largest[i] = byte(i)
	}
	values := map[string][]byte{pool: largest, "pool2": {0}, "POOL": {}, "\x00:{%}\xff": frame("odd")}
	for name, value := range values {
		if _, written, err := keeper.WriteRegister(s.Context(), name, invalidation.RegisterWrite{Value: value, Frame: frame("x")}); err != nil || !written {
			s.Fatalf("WriteRegister %q: %t, %v", name, written, err)
		}
	}
	for name, value := range values {
		found, err := keeper.ReadRegister(s.Context(), name)
		if err != nil || found.Epoch == 0 || !found.Current || !bytes.Equal(found.Value, value) {
			s.Errorf("%q: %d bytes %.20q… at epoch %d, current: %t, %v", name, len(found.Value), found.Value, found.Epoch, found.Current, err)
		}
	}
	if _, _, err := s.registry().Swap(s.Context(), make([]byte, invalidation.MaxRegister+1), 0); !errors.Is(err, invalidation.ErrTooLarge) {
		s.Errorf("a value of MaxRegister+1 bytes: %v, want ErrTooLarge", err)
	}
}

func registerLost(s *suite) {
	if s.h.Lose == nil {
		s.Skip("this transport's server cannot lose its data")
	}
	a := s.registry()
	first := s.swap(a, "one", 0)
	s.h.Lose(s.T)
	stranger := s.registry() // has seen nothing
	if value, epoch := s.load(stranger); value != "" || epoch != 0 {
		s.Fatalf("an emptied server has %q at epoch %d", value, epoch)
	}
	second := s.swap(stranger, "two", 0)
	if second <= first {
		s.Fatalf("epoch %d after the loss, %d before", second, first)
	}
	s.wantRegister(a, "two", second)

	s.h.Lose(s.T)
	value, third := s.load(a)
	if value != "two" || third <= second {
		s.Fatalf("a node that had seen %q at epoch %d finds %q at %d", "two", second, value, third)
	}
	s.wantRegister(stranger, "two", third)
}

func registerRestored(s *suite) {
	if s.h.Restart == nil {
		s.Skip("this transport's server has no data after a restart")
	}
	first := s.swap(s.registry(), "one", 0)
	s.h.Restart(s.T)

	// At the transport: the value is there, is not current, and is followed by none that does not know that.
	_, keeper := s.registrar()
	found, err := keeper.ReadRegister(s.Context(), pool)
	if err != nil || string(found.Value) != "one" || found.Epoch != first || found.Since != first || found.Current {
		s.Fatalf("after the restart: %+v, %v; want epoch %d, not current", found, err, first)
	}
	if _, written, err := keeper.WriteRegister(s.Context(), pool, invalidation.RegisterWrite{Epoch: first, Frame: frame("x")}); written || err != nil {
		s.Fatalf("a new value from an epoch that is not current: %t, %v", written, err)
	}

	b := s.registry()
	var second uint64
	for _, r := range []*invalidation.Registry{b, s.registry()} { // neither knows what stood there before
		value, epoch := s.load(r)
		if value != "one" || epoch <= first || r != b && epoch != second {
			s.Fatalf("%q at epoch %d; want %q above %d, the same for both", value, epoch, "one", first)
		}
		second = epoch
	}
	wantSince := func(want uint64) {
		s.Helper()
		if found, err := keeper.ReadRegister(s.Context(), pool); err != nil || found.Since != want || !found.Current {
			s.Errorf("%+v, %v; want one that is current and stands since %d", found, err, want)
		}
	}
	wantSince(first)
	wantSince(s.swap(b, "two", second))
}

func registerOutage(s *suite) {
	if s.h.Stop == nil {
		s.Skip("this transport cannot be made unreachable")
	}
	a, b := s.registry(), s.registry()
	epoch := s.swap(a, "one", 0)
	s.h.Stop(s.T)
	for _, r := range []*invalidation.Registry{a, b} {
		if value, at, err := r.Load(s.Context()); value != nil || at != 0 || !errors.Is(err, invalidation.ErrUnavailable) {
			s.Errorf("Load: %q, %d, %v; want ErrUnavailable", value, at, err)
		}
		if at, swapped, err := r.Swap(s.Context(), frame("two"), epoch); at != 0 || swapped || !errors.Is(err, invalidation.ErrUnavailable) {
			s.Errorf("Swap: %d, %t, %v; want ErrUnavailable", at, swapped, err)
		}
	}
}

func registerCancelled(s *suite) {
	r := s.registry()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, _, err := r.Load(ctx); err != context.Canceled {
		s.Errorf("Load: %v, want context.Canceled itself", err)
	}
	if _, swapped, err := r.Swap(ctx, frame("never"), 0); swapped || err != context.Canceled {
		s.Errorf("Swap: %t, %v, want context.Canceled itself", swapped, err)
	}
	s.wantRegister(r, "", 0)
}
