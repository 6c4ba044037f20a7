package tiertest

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/strata-cache/strata/policy"
)

// A Source is a source of truth in memory, the loader that reads it, one key or many at a time, and the store that writes it. Safe
// for concurrent use.
type Source[K comparable, V any] struct {
	mu      sync.Mutex
	values  map[K]V       // guarded by mu, as all below
	err     error         // of every load, if set
	blocked chan struct{} // loads wait until it is closed, if set
	refused error         // of every write, if set
	loads   int
	batches int
	changed chan struct{} // closed and replaced when a load begins
}

var (
	_ policy.Loader[int, int]      = (*Source[int, int])(nil)
	_ policy.BatchLoader[int, int] = (*Source[int, int])(nil)
	_ policy.Source[int, int]      = (*Source[int, int])(nil)
)

// NewSource returns a source that has nothing: every load is ErrNotFound.
func NewSource[K comparable, V any]() *Source[K, V] {
	return &Source[K, V]{values: make(map[K]V), changed: make(chan struct{})}
}

// Put makes the source have v at k. The cache is not told: call Invalidate, as an application does.
func (s *Source[K, V]) Put(k K, v V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[k] = v
}

// Remove makes the source not have k. The cache is not told.
func (s *Source[K, V]) Remove(k K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, k)
}

// Store implements policy.Store.
func (s *Source[K, V]) Store(_ context.Context, k K, v V) error {
	return s.write(func() { s.values[k] = v })
}

// Delete implements policy.Store.
func (s *Source[K, V]) Delete(_ context.Context, k K) error {
	return s.write(func() { delete(s.values, k) })
}

// write does a write, also where it then fails, unless the error says that it did not.
func (s *Source[K, V]) write(do func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(s.refused, policy.ErrNotWritten) {
		do()
	}
	return s.refused
}

// Refuse makes every Store and Delete fail with err, until Refuse(nil). Only if it is policy.ErrNotWritten nothing is written.
func (s *Source[K, V]) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
}

// Values returns a copy of what the source has.
func (s *Source[K, V]) Values() map[K]V {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values)
}

// Fail makes every load fail with err, until Fail(nil).
func (s *Source[K, V]) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Block makes loads read the source and then wait, with what they read, until release is called or their context ends.
func (s *Source[K, V]) Block() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.blocked = gate
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(gate)
		if s.blocked == gate {
			s.blocked = nil
		}
	})
}

// Loads is how many keys were asked of the source.
func (s *Source[K, V]) Loads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// Batches is how many of the requests were for many keys.
func (s *Source[K, V]) Batches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

// AwaitLoads waits until n keys were asked of the source, and returns ctx's error if it ends before.
func (s *Source[K, V]) AwaitLoads(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		enough, changed := s.loads >= n, s.changed
		s.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Load implements policy.Loader.
func (s *Source[K, V]) Load(ctx context.Context, k K) (V, error) {
	a, err := s.read(ctx, []K{k}, false)
	if err != nil {
		var none V
		return none, err
	}
	return a[0].Value, a[0].Err
}

// LoadMany implements policy.BatchLoader.
func (s *Source[K, V]) LoadMany(ctx context.Context, keys []K) ([]policy.Answer[V], error) {
	return s.read(ctx, keys, true)
}

func (s *Source[K, V]) read(ctx context.Context, keys []K, batch bool) ([]policy.Answer[V], error) {
	answers, blocked, err := s.look(keys, batch)
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answers, err
}

func (s *Source[K, V]) look(keys []K, batch bool) ([]policy.Answer[V], chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads += len(keys)
	if batch {
		s.batches++
	}
	close(s.changed)
	s.changed = make(chan struct{})
	answers := make([]policy.Answer[V], len(keys))
	for i, k := range keys {
		v, ok := s.values[k]
		answers[i].Value = v
		if !ok {
			answers[i].Err = policy.ErrNotFound
		}
	}
	return answers, s.blocked, s.err
}
