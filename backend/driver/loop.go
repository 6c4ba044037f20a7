package driver

import (
	"context"
	"errors"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A Swapper is a server whose only atomic step is a compare-and-swap. H is its handle on the exact state that was read:
// a CAS id, or the bytes themselves.
type Swapper[H any] interface {
	// Load reads what key holds, nil for nothing, with a handle on it.
	Load(ctx context.Context, key string) (current []byte, handle H, err error)

	// CompareAndSwap makes key hold next, nil for nothing, for at least ttl, if it still is as handle says. It
	// reports Done, Refused if it was not, else why it does not know, or knows that nothing was sent.
	CompareAndSwap(ctx context.Context, key string, handle H, next []byte, ttl time.Duration) (Outcome, error)
}

// errContended ends a loop that always lost.
var errContended = errors.Join(sentinel.ErrUnavailable, errors.New("the key changes faster than it can be swapped"))

// maxSwaps bounds a loop. Each lost swap means that another one was done, so only a storm at one key gets here.
const maxSwaps = 256

// Loop runs op by [record.Apply] on s: it reads, applies, and swaps until nobody came in between. now decides what has
// expired. A swap whose outcome is unknown ends it: the step may have happened.
func Loop[H any](ctx context.Context, s Swapper[H], op Op, now func() time.Time) Effect {
	for range maxSwaps {
		current, handle, err := s.Load(ctx, op.Key)
		if err != nil {
			return Effect{Outcome: Unsent, Err: err}
		}
		t := now()
		next, done := record.Apply(current, op.Step, t)
		if !done {
			return Effect{Outcome: Refused, Found: next}
		}
		if next == nil && current == nil {
			return Effect{Outcome: Done}
		}
		var ttl time.Duration
		if next != nil {
			ttl = max(record.Remaining(next, t), op.TTL)
		}
		outcome, err := s.CompareAndSwap(ctx, op.Key, handle, next, ttl)
		if outcome != Refused {
			return Effect{Outcome: outcome, Err: err}
		}
	}
	return Effect{Outcome: Unsent, Err: errContended}
}
