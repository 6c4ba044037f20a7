package integration_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A fleetLoad is caches with a bus, as in as many processes, whose source changes all the time: each change is followed
// by Invalidate, and all nodes read all keys. It is stopped with the test.
type fleetLoad struct {
	*ledger
	nodes  []*tier.Cache[string, string]
	keys   []string
	cancel context.CancelFunc
	done   sync.WaitGroup

	// mu guards source, the newest version of each key.
	mu     sync.Mutex
	source map[string]int
}

// round is how long it takes to change every key once.
const round = 3 * time.Second

// startFleet starts nodes whose store and bus are one Redis.
func startFleet(t testing.TB, url string, nodes, keys int) *fleetLoad {
	t.Helper()
	return startFleetOf(t, nodes, keys, func() (*backend.Store, *invalidation.Bus) {
		store := openStore(t, url)
		bus, err := redisbus.New(store, nil)
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		return store, bus
	})
}

// startFleetOf starts nodes of which each has the store and the bus that open returns, which are closed with the test.
func startFleetOf(t testing.TB, nodes, keys int, open func() (*backend.Store, *invalidation.Bus)) *fleetLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &fleetLoad{ledger: newLedger(maxStaleness), cancel: cancel, source: map[string]int{}}
	for i := range keys {
		l.keys = append(l.keys, "key-"+strconv.Itoa(i))
	}
	for range nodes {
		store, bus := open()
		c, err := tier.New("load", &tier.Options[string, string]{
			Remote: store, Bus: bus, MaxStaleness: maxStaleness, Policy: policy.CacheAside(l),
		})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		eventually(t, "trusted", func() bool { return c.Stats().Trusted })
		l.nodes = append(l.nodes, c)
	}
	t.Cleanup(l.stop)
	for i, c := range l.nodes {
		var mine []string
		for j := i; j < len(l.keys); j += nodes {
			mine = append(mine, l.keys[j])
		}
		// Both end with ctx; joined by stop.
		l.done.Go(func() { l.change(ctx, c, mine) })
		l.done.Go(func() { l.read(ctx, c) })
	}
	return l
}

func (l *fleetLoad) stop() {
	l.cancel()
	l.done.Wait()
}

// Load is the source.
func (l *fleetLoad) Load(_ context.Context, key string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.source[key]
	if !ok {
		return "", tier.ErrNotFound
	}
	return versionText(key, v), nil
}

// change changes the source and invalidates, one key after the other, so slowly that a key has long been loaded again
// when its turn comes.
func (l *fleetLoad) change(ctx context.Context, c *tier.Cache[string, string], keys []string) {
	tick := time.NewTicker(round / time.Duration(len(keys)))
	defer tick.Stop()
	for {
		for _, key := range keys {
			v := l.send(key)
			l.mu.Lock()
			l.source[key] = v
			l.mu.Unlock()
			if err := c.Invalidate(ctx, key); err == nil {
				l.ack(key, v)
			} else if ctx.Err() == nil {
				l.fail(key, err, sentinel.ErrInvalidationPending)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// read reads all keys over and over.
func (l *fleetLoad) read(ctx context.Context, c *tier.Cache[string, string]) {
	// Local hits alone would leave the servers no processor.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; ctx.Err() == nil; <-tick.C {
		for _, i := range rand.Perm(len(l.keys)) {
			key, began := l.keys[i], time.Now()
			switch value, err := c.Get(ctx, key); {
			case err == nil:
				l.judge(key, value, true, began)
			case ctx.Err() != nil:
				return
			case errors.Is(err, tier.ErrNotFound): // not written yet
				l.judge(key, "", false, began)
			default:
				l.fail(key, err)
			}
		}
	}
}
