package memcached_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memcached"
)

// A register is a Membership in memory.
type register struct {
	mu       sync.Mutex
	value    []byte // guarded by mu
	epoch    uint64 // guarded by mu
	down     error  // guarded by mu; what every call fails with
	watchers map[chan struct{}]bool
}

func newRegister() *register { return &register{watchers: make(map[chan struct{}]bool)} }

func (r *register) Load(ctx context.Context) ([]byte, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.epoch, errors.Join(r.down, ctx.Err())
}

func (r *register) Swap(ctx context.Context, value []byte, epoch uint64) (uint64, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.down, ctx.Err()); err != nil {
		return 0, false, err
	}
	if epoch != r.epoch {
		return r.epoch, false, nil
	}
	r.value, r.epoch = value, epoch+1
	for w := range r.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return r.epoch, true, nil
}

func (r *register) Changed() (<-chan struct{}, func()) {
	w := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[w] = true
	return w, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, w)
	}
}

// fail lets every call fail from now on; nil ends that.
func (r *register) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = err
}

// hold returns what the register holds, and puts something else there, as a failover to an old copy would.
func (r *register) hold(value []byte, epoch uint64) (before []byte, at uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, at = r.value, r.epoch
	r.value, r.epoch = value, epoch
	return before, at
}

func (r *register) holds() (value []byte, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.epoch
}

// openWith opens a Store that is closed at the end of the test.
func openWith(t testing.TB, url string, o *memcached.Options) *backend.Store {
	t.Helper()
	s, err := memcached.Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
