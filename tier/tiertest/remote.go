package tiertest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A Remote is a store in memory that can be down. It is the driver of [Env.Store]. Safe for concurrent use.
type Remote struct {
	inner         *backend.Store
	down          atomic.Bool
	reads, writes atomic.Int64
}

var (
	_ driver.Driver  = (*Remote)(nil)
	_ driver.Scanner = (*Remote)(nil)
)

// Down makes every call fail with ErrUnavailable until Up. Nothing is lost.
func (r *Remote) Down() { r.down.Store(true) }

// Up ends Down.
func (r *Remote) Up() { r.down.Store(false) }

// Reads is how many bulk reads were made, each of which would be a round trip.
func (r *Remote) Reads() int { return int(r.reads.Load()) }

// Writes is how many bulk writes were made, each of which would be a round trip.
func (r *Remote) Writes() int { return int(r.writes.Load()) }

func (r *Remote) usable() error {
	if r.down.Load() {
		return fmt.Errorf("tiertest: the store is down: %w", sentinel.ErrUnavailable)
	}
	return nil
}

// Get implements driver.Driver.
func (r *Remote) Get(ctx context.Context, keys []string) []driver.Result {
	r.reads.Add(1)
	if err := r.usable(); err != nil {
		results := make([]driver.Result, len(keys))
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	return r.inner.Get(ctx, keys...)
}

// Write implements driver.Driver.
func (r *Remote) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	r.writes.Add(1)
	if err := r.usable(); err != nil {
		effects := make([]driver.Effect, len(ops))
		for i := range effects {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
		}
		return effects
	}
	return r.inner.Write(ctx, ops...)
}

// Scan implements driver.Scanner.
func (r *Remote) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	if err := r.usable(); err != nil {
		return err
	}
	return r.inner.Scan(ctx, prefix, yield)
}

// Ping implements driver.Driver.
func (r *Remote) Ping(ctx context.Context) error {
	if err := r.usable(); err != nil {
		return err
	}
	return r.inner.Ping(ctx)
}

// String implements driver.Driver.
func (r *Remote) String() string { return "tiertest" }

// Close implements driver.Driver.
func (r *Remote) Close() error { return r.inner.Close() }
