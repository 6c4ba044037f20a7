package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// envHerd makes the test binary be one process of a herd: a herdSpec.
const envHerd = "STRATA_TEST_HERD"

// A herdSpec says what a process of a herd is.
type herdSpec struct {
	Store, Bus  string // URLs
	Product     string // of the bus; "": it is on the client of the store
	Cache, Name string // of the cache and of the bus
	Callers     int
	Lease       time.Duration // LeaseTTL
	Load        time.Duration // how long the source takes
	Hang        time.Duration // the source never answers those who ask so soon after the start
	Fail        bool          // it answers with an error
	Without     string        // mechanisms
}

// A herdStart lets all callers of a process begin.
type herdStart struct {
	Key int // from 0
	At  time.Time
}

// A herdReport is what became of the callers of one process. Times are from herdStart.At.
type herdReport struct {
	Got         map[string]int // callers by value, or error
	First, Last time.Duration  // when the first caller began, and when the last one had its answer
}

// What else a process tells, one a line.
const (
	herdReady = "ready"
	herdLoads = "loads" // the source is asked
)

// A herdNode is one process of a herd.
type herdNode struct {
	spec  herdSpec
	cache *cache
	start herdStart    // the callers, and so the source, see it by the barrier
	begun atomic.Int64 // callers
}

// serveHerd obeys each herdStart on its standard input with a herdReport.
func serveHerd(text string) error {
	var n herdNode
	if err := json.Unmarshal([]byte(text), &n.spec); err != nil {
		return err
	}
	without, err := weaken.Parse(n.spec.Without)
	if err != nil {
		return err
	}
	weaken.Switch(without...)
	if err := n.open(context.Background()); err != nil {
		return err
	}
	// It is trusted, and it uses the remote tier: scripts are loaded, the markers read, and the guard knows the server.
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		r, err := n.cache.Lookup(context.Background(), -os.Getpid(), tier.SkipLocalRead())
		if err != nil {
			return err
		}
		if r.Tier == tier.Remote && n.cache.Stats().Trusted {
			break
		}
	}
	fmt.Println(herdReady)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := json.Unmarshal(in.Bytes(), &n.start); err != nil {
			return err
		}
		line, err := json.Marshal(n.run())
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}

// run lets all callers read the key at the moment that n.start says.
func (n *herdNode) run() herdReport {
	var mu sync.Mutex // guards r
	r := herdReport{Got: map[string]int{}}
	n.begun.Store(0)
	barrier := make(chan struct{})
	var callers sync.WaitGroup
	for range n.spec.Callers {
		callers.Go(func() {
			<-barrier
			n.begun.Add(1)
			got, err := n.cache.Get(context.Background(), n.start.Key)
			took := time.Since(n.start.At)
			if err != nil {
				got = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			r.Got[got]++
			r.Last = max(r.Last, took)
		})
	}
	agreed := time.NewTimer(time.Until(n.start.At))
	<-agreed.C
	r.First = time.Since(n.start.At)
	close(barrier)
	callers.Wait()
	return r
}

// open opens the cache, which ends with the process.
func (n *herdNode) open(ctx context.Context) error {
	store, err := backend.Open(ctx, n.spec.Store)
	if err != nil {
		return err
	}
	var bus *invalidation.Bus
	switch n.spec.Product {
	case "":
		bus, err = redisbus.New(store, &redisbus.Options{Name: n.spec.Name})
	case "redis":
		bus, err = redisbus.Open(ctx, n.spec.Bus, &redisbus.Options{Name: n.spec.Name})
	case "memcached":
		bus, err = memcachedbus.Open(ctx, n.spec.Bus, &memcachedbus.Options{Name: n.spec.Name})
	case "hazelcast":
		bus, err = hazelcastbus.Open(ctx, n.spec.Bus, &hazelcastbus.Options{Name: n.spec.Name})
	default:
		err = errors.New("no such bus: " + n.spec.Product)
	}
	if err != nil {
		return err
	}
	n.cache, err = tier.New(n.spec.Cache, &tier.Options[int, string]{
		Remote: store, Bus: bus, LeaseTTL: n.spec.Lease, Policy: policy.CacheAside[int, string](policy.LoaderFunc[int, string](n.load)),
	})
	return err
}

func (n *herdNode) load(ctx context.Context, key int) (string, error) {
	if key < 0 {
		return "warm", nil
	}
	fmt.Println(herdLoads)
	if time.Since(n.start.At) < n.spec.Hang {
		<-ctx.Done()
		return "", ctx.Err()
	}
	for tick := time.NewTicker(time.Millisecond); n.spec.Fail && n.begun.Load() < int64(n.spec.Callers); <-tick.C {
		// Who comes after a failure asks again.
	}
	slow := time.NewTimer(n.spec.Load)
	defer slow.Stop()
	select {
	case <-slow.C:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if n.spec.Fail {
		return "", errHerd
	}
	return herdValue, nil
}

const herdValue = "the value"

var errHerd = errors.New("the source is broken")
