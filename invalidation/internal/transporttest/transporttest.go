// Package transporttest is what the tests of transports do at a transport itself, with real servers that may be away for a while.
// What every transport must do is in invalidation/invalidationtest.
package transporttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// Patience is how long is waited for what must come.
const Patience = 60 * time.Second

// Receive returns the next delivery that is no error.
func Receive(t testing.TB, tr invalidation.Transport) invalidation.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		d, err := tr.Receive(ctx)
		if err == nil {
			return d
		}
		if !errors.Is(err, invalidation.ErrUnavailable) {
			t.Fatalf("Receive: %v", err)
		}
	}
}

// Subscribed receives a subscription, and returns its head.
func Subscribed(t testing.TB, tr invalidation.Transport) invalidation.Position {
	t.Helper()
	d := Receive(t, tr)
	if d.Kind != invalidation.Subscribed {
		t.Fatalf("got %+v, want Subscribed", d)
	}
	return d.Position
}

// Anew receives until there is a subscription, and returns its head.
func Anew(t testing.TB, tr invalidation.Transport) invalidation.Position {
	t.Helper()
	for {
		if d := Receive(t, tr); d.Kind == invalidation.Subscribed {
			return d.Position
		}
	}
}

// WantFrames receives frames that follow each other, after a position, and returns that of the last.
func WantFrames(t testing.TB, tr invalidation.Transport, after invalidation.Position, frames ...string) invalidation.Position {
	t.Helper()
	for _, want := range frames {
		after.N++
		if d := Receive(t, tr); d.Kind != invalidation.Frame || d.Position != after || string(d.Frame) != want {
			t.Fatalf("got kind %d %.40q at %v, want frame %.40q at %v", d.Kind, d.Frame, d.Position, want, after)
		}
	}
	return after
}

// Publish appends a frame, again until somebody says that it is there.
func Publish(t testing.TB, tr invalidation.Transport, frame string) invalidation.Position {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		p, err := tr.Publish(t.Context(), [][]byte{[]byte(frame)})
		if err == nil {
			return p
		}
		if !errors.Is(err, invalidation.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("Publish: %v", err)
		}
	}
}
