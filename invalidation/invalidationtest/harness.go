package invalidationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// Harness is one log, used by one case.
type Harness struct {
	// Transport returns a new transport on the log: each is another node. The suite closes it.
	Transport func(t testing.TB) invalidation.Transport

	// Cut ends the subscriptions of all transports from outside, as a network or a server does; the log stays. nil: the
	// transport has no subscription that could be cut, and the case is skipped.
	Cut func(t testing.TB)

	// Registers says that the transport is an invalidation.Registrar. It is no ability to have in silence: the suite fails
	// when this is not so, and also when it is so and this is false.
	Registers bool

	// Replays says that the transport is an invalidation.Replayer, which the suite checks as it does Registers.
	Replays bool

	// Forget makes the log forget all frames that it keeps to be given again, and no more than that. nil: the case that needs
	// it is skipped.
	Forget func(t testing.TB)

	// Lose makes the server lose all its data, and Restart end and begin with all its data, if it can; each returns when the
	// server answers again. nil: the cases that need it are skipped.
	Lose, Restart func(t testing.TB)

	// Stop makes the server unreachable for the rest of the case. nil: the cases that need it are skipped.
	Stop func(t testing.TB)
}

// patience is how long the suite waits for what must come, and prompt how long for what must come at once.
const (
	patience = 30 * time.Second
	prompt   = time.Second
)

// Run checks the transport. newHarness is called once for each case, and cleans up by t.Cleanup.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, c := range slices.Concat(cases, registerCases, replayCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, h: newHarness(t)}
			defer func() {
				if t.Failed() {
					t.Logf("a transport must: %s", c.must)
				}
			}()
			c.run(s)
		})
	}
}

// suite is the state of one case.
type suite struct {
	*testing.T
	h Harness
}

func (s *suite) open() invalidation.Transport {
	s.Helper()
	t := s.h.Transport(s.T)
	s.Cleanup(func() {
		if err := t.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return t
}

// subscribed opens a transport and waits for its subscription.
func (s *suite) subscribed() (invalidation.Transport, invalidation.Position) {
	s.Helper()
	t := s.open()
	return t, s.wantSubscribed(t)
}

func (s *suite) wantSubscribed(t invalidation.Transport) invalidation.Position {
	s.Helper()
	d := s.receive(t)
	if d.Kind != invalidation.Subscribed {
		s.Fatalf("got %s, want a Subscribed delivery", show(d))
	}
	return d.Position
}

// receive returns the next delivery, trying again while there is no subscription, as a bus does.
func (s *suite) receive(t invalidation.Transport) invalidation.Delivery {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		d, err := t.Receive(ctx)
		if err == nil {
			return d
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			s.Fatalf("Receive: %v", err)
		}
		pause(ctx)
	}
}

// wantFrames receives exactly these frames, with contiguous positions after last, and returns the last position. Frames at
// or below last are skipped, as a bus does.
func (s *suite) wantFrames(t invalidation.Transport, last invalidation.Position, frames ...[]byte) invalidation.Position {
	s.Helper()
	for _, want := range frames {
		d := s.receive(t)
		for d.Kind == invalidation.Frame && d.Position.Incarnation == last.Incarnation && d.Position.N <= last.N {
			d = s.receive(t)
		}
		next := invalidation.Position{Incarnation: last.Incarnation, N: last.N + 1}
		if d.Kind != invalidation.Frame || d.Position != next || !bytes.Equal(d.Frame, want) {
			s.Fatalf("got %s, want frame %.40q at %v", show(d), want, next)
		}
		last = next
	}
	return last
}

// publish appends frames, trying again while the server is unavailable only if a case says so.
func (s *suite) publish(t invalidation.Transport, frames ...[]byte) invalidation.Position {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	p, err := t.Publish(ctx, frames)
	if err != nil {
		s.Fatalf("Publish: %v", err)
	}
	return p
}

// publishUntil is publish by a node that was just cut: connections that died with it may fail once each.
func (s *suite) publishUntil(t invalidation.Transport, frame []byte) invalidation.Position {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		p, err := t.Publish(ctx, [][]byte{frame})
		if err == nil {
			return p
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			s.Fatalf("Publish: %v", err)
		}
		pause(ctx)
	}
}

// pause is the time between two tries of something that has no event to wait for.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// promptly fails if do takes longer than a person would call at once.
func (s *suite) promptly(what string, do func()) {
	s.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > prompt {
		s.Errorf("%s took %v, want under %v", what, took, prompt)
	}
}

func show(d invalidation.Delivery) string {
	switch d.Kind {
	case invalidation.Subscribed:
		return fmt.Sprintf("Subscribed at %v", d.Position)
	case invalidation.Frame:
		return fmt.Sprintf("frame %.40q at %v", d.Frame, d.Position)
	case invalidation.Hint:
		return fmt.Sprintf("hint %.40q", d.Frame)
	default:
		return fmt.Sprintf("unknown kind %d", d.Kind)
	}
}
