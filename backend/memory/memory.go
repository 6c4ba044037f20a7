package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

const (
	// DefaultMaxBytes is the bound of a store that names none.
	DefaultMaxBytes = 256 << 20

	// MinMaxBytes is the least bound of a store: less has no room for a few full fences.
	MinMaxBytes = 64 << 10
)

// Options are the options of New. The zero value is good.
type Options struct {
	// MaxBytes bounds the weight of what is stored. Default DefaultMaxBytes, for 0; anything else below MinMaxBytes,
	// negative numbers too, counts as MinMaxBytes.
	MaxBytes int64
}

// New returns a Store with memory of its own, nil options being the default ones. Close frees it.
func New(o *Options) *backend.Store {
	limit := int64(DefaultMaxBytes)
	if o != nil && o.MaxBytes != 0 {
		limit = max(o.MaxBytes, MinMaxBytes)
	}
	d := newData(limit)
	return backend.New(newStore(d, "memory://", d.free))
}

// A store is the driver: a handle on data that others may have a handle on, too.
type store struct {
	data    *data
	name    string
	release func()      // frees data or gives up the share in it; idempotent
	closed  atomic.Bool // looked at under a shard's lock, so that Close can wait for calls by taking each

	met   atomic.Uint64 // the generation of data that hooks know; looked at under a shard's lock, too
	mu    sync.Mutex
	hooks []func(server, identity string) // guarded by mu, which is held while they run: nobody may read before they did
}

func newStore(d *data, name string, release func()) *store {
	s := &store{data: d, name: name, release: release}
	s.met.Store(d.generation.Load())
	return s
}

var (
	errClosed = fmt.Errorf("memory: %w", sentinel.ErrClosed)
	errFull   = fmt.Errorf("memory: full of fences and counters, which are not evicted: %w", sentinel.ErrUnavailable)
)

func (s *store) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	err := s.ready(ctx)
	for i, key := range keys {
		if err != nil {
			results[i].Err = err
			continue
		}
		results[i].Record, results[i].Err = s.get(key)
	}
	return results
}

func (s *store) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	for i, op := range ops {
		if err := s.ready(ctx); err != nil {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
			continue
		}
		effects[i] = s.write(op)
	}
	return effects
}

func (s *store) get(key string) ([]byte, error) {
	sh := s.data.shard(key)
	if err := s.enter(sh); err != nil {
		return nil, err
	}
	defer sh.mu.Unlock()
	e := sh.records[key]
	if e == nil {
		return nil, nil
	}
	if record.Live(e.record, time.Now()) == nil {
		sh.dropLocked(s.data, e)
		return nil, nil
	}
	e.used = true
	return append([]byte(nil), e.record...), nil
}

// write applies op under its shard's lock. When there is no room it makes some without the lock, and begins again.
func (s *store) write(op driver.Op) driver.Effect {
	if op.Verb == record.Add || op.Verb == record.Swap {
		op.Record = append([]byte(nil), op.Record...)
	}
	sh := s.data.shard(op.Key)
	for {
		effect, need := s.tryWrite(sh, op)
		if need == 0 {
			return effect
		}
		if !s.data.makeRoom(need) {
			return driver.Effect{Outcome: driver.Unsent, Err: errFull}
		}
	}
}

// tryWrite returns the effect, or how much room it lacks.
func (s *store) tryWrite(sh *shard, op driver.Op) (effect driver.Effect, need int64) {
	if err := s.enter(sh); err != nil {
		return driver.Effect{Outcome: driver.Unsent, Err: err}, 0
	}
	defer sh.mu.Unlock()
	now := time.Now()
	e := sh.records[op.Key]
	var current []byte
	if e != nil {
		current = e.record
		e.used = true
	}
	next, done := record.Apply(current, op.Step, now)
	if !done {
		return driver.Effect{Outcome: driver.Refused, Found: append([]byte(nil), next...)}, 0
	}
	switch {
	case next == nil && e != nil:
		sh.dropLocked(s.data, e)
	case next != nil:
		if need := sh.putLocked(s.data, op.Key, e, next); need > 0 {
			return driver.Effect{}, need
		}
	}
	sh.sweepLocked(s.data, now)
	return driver.Effect{Outcome: driver.Done}, 0
}

func (s *store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	if s.met.Load() != s.data.generation.Load() {
		s.meet()
	}
	return ctx.Err()
}

// enter locks sh for a call, unless s is closed. The hooks know whose data it is then.
func (s *store) enter(sh *shard) error {
	for {
		sh.mu.Lock()
		if s.closed.Load() {
			sh.mu.Unlock()
			return errClosed
		}
		if s.met.Load() == s.data.generation.Load() {
			return nil
		}
		sh.mu.Unlock()
		s.meet()
	}
}

// meet tells the hooks of the data that is there now.
func (s *store) meet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	generation := s.data.generation.Load()
	if s.met.Load() == generation {
		return
	}
	for _, hook := range s.hooks {
		hook(s.name, s.data.identity(generation))
	}
	s.met.Store(generation)
}

func (s *store) Ping(ctx context.Context) error { return s.ready(ctx) }

func (s *store) String() string { return s.name }

func (s *store) Close() error {
	if !s.closed.Swap(true) {
		s.release()
	}
	s.data.await() // whoever looked at closed before has left
	return nil
}

var _ interface {
	driver.Driver
	driver.Counter
	driver.Scanner
	driver.Statser
	driver.Limiter
	driver.Identifier
	driver.Rewinder
	driver.Native
} = (*store)(nil)

var errOverflow = errors.New("memory: count: the sum is beyond 64 bits")
