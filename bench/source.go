package bench

import (
	"context"
	"sync"
	"time"
)

// source is a loader that makes values of keys, and counts.
type source struct {
	size  int
	delay time.Duration

	mu     sync.Mutex
	loads  uint64              // guarded by mu
	loaded map[string]struct{} // guarded by mu
}

func newSource(size int, delay time.Duration) *source {
	return &source{size: size, delay: delay, loaded: make(map[string]struct{})}
}

func (s *source) load(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	s.loads++
	s.loaded[key] = struct{}{}
	s.mu.Unlock()
	if s.delay > 0 {
		t := time.NewTimer(s.delay)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
		}
	}
	return makeValue(key, s.size), nil
}

func (s *source) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}
