package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// straddles is how many loads straddle an invalidation on each backend; STRATA_STRADDLES makes it more.
func straddles(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("STRATA_STRADDLES"))
	if os.Getenv("STRATA_STRADDLES") == "" {
		return 1000
	}
	must(t, err)
	return n
}

func TestWhatWasLoadedBeforeAnInvalidationIsInNoTierAfterIt(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"memory":    func(*testing.T) string { return "memory://" },
		"redis":     func(t *testing.T) string { return servertest.SharedRedis(t).URL() + "?timeout=10s" },
		"memcached": func(t *testing.T) string { return servertest.SharedMemcached(t).URL() + "?timeout=10s" },
		"hazelcast": func(t *testing.T) string { return servertest.SharedHazelcast(t).URL() + "&timeout=10s" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openStore(t, url(t))
			if old := straddle(t, store, straddles(t)); old > 0 {
				t.Errorf("%d old values", old)
			}
		})
	}
}

// The test above finds old values where there are no leases.
func TestWithoutLeasesLoadsThatStraddleAnInvalidationAreStored(t *testing.T) {
	t.Parallel()
	store := openStore(t, "memory://").With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return &leaseless{Driver: d} }})
	for range 20 {
		if straddle(t, store, 1000) > 0 {
			return
		}
	}
	t.Error("no old value in 20,000 loads")
}

// straddle lets one node load keys while another writes and invalidates them, n times, and returns how many old values are found
// afterwards in the remote tier or at either node. There is no bus: the loading node hears of nothing.
func straddle(t *testing.T, store *backend.Store, n int) (old int64) {
	t.Helper()
	name := fmt.Sprintf("straddle-%x", rand.Uint64())
	var source sync.Map // of versions by key
	open := func(load func(ctx context.Context, key int) (int, error)) *tier.Cache[int, int] {
		c, err := tier.New(name, &tier.Options[int, int]{Remote: store, LocalCost: -1, Policy: policy.CacheAside[int, int](policy.LoaderFunc[int, int](load))})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	begun := make([]chan struct{}, n)
	for i := range begun {
		begun[i] = make(chan struct{})
	}
	look := func(_ context.Context, key int) (int, error) {
		v, _ := source.Load(key)
		return v.(int), nil
	}
	loader := open(func(ctx context.Context, key int) (int, error) {
		v, err := look(ctx, key)
		close(begun[key])
		time.Sleep(rand.N(2 * time.Millisecond)) // the source is slow, so that the invalidation comes before, while or after it stores
		return v, err
	})
	writer := open(look)

	var counted atomic.Int64
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() { // ends with next
			for key := range next {
				source.Store(key, 1)
				var loading sync.WaitGroup
				loading.Go(func() { // waited for below
					if _, err := loader.Get(t.Context(), key); err != nil {
						t.Errorf("Get: %v", err)
					}
				})
				<-begun[key]
				source.Store(key, 2)
				time.Sleep(rand.N(2 * time.Millisecond))
				if err := writer.Invalidate(t.Context(), key); err != nil {
					t.Errorf("Invalidate: %v", err)
				}
				loading.Wait()
				for _, c := range []*tier.Cache[int, int]{loader, writer} {
					v, ok, err := c.Peek(t.Context(), key)
					if err != nil {
						t.Errorf("Peek: %v", err)
					}
					if ok && v != 2 {
						counted.Add(1)
						break
					}
				}
			}
		})
	}
	for key := range n {
		next <- key
	}
	close(next)
	workers.Wait()
	return counted.Load()
}

// leaseless is a driver that gives every lease and stores a value under one wherever nothing is, as without leases.
type leaseless struct {
	driver.Driver
	given sync.Map // of tokens
}

func (d *leaseless) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	for i, op := range ops {
		if h, _, ok := record.Parse(op.Record); op.Verb == record.Add && ok && h.Kind == record.Lease {
			d.given.Store(h.Token, true)
			effects[i].Outcome = driver.Done
			continue
		}
		if _, ok := d.given.LoadAndDelete(op.Expect); ok && op.Verb == record.Swap {
			op.Verb = record.Add
		}
		effects[i] = d.Driver.Write(ctx, []driver.Op{op})[0]
	}
	return effects
}
