package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/bench"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// node is one of the demo's nodes: a cache over the product table, and readers.
type node struct {
	config nodeConfig
	shared *backend.Store    // in memory; nil: config.Backend is opened
	bus    *invalidation.Bus // in memory; nil: config.Bus is opened

	table *productTable
	cache *tier.Cache[int64, product]
	seen  *sightings
	close []func() error // in the order opened

	writing sync.Mutex // of out
	out     *json.Encoder

	reads, hits, errors atomic.Uint64
	mu                  sync.Mutex
	latencies           *bench.Latencies // guarded by mu
	firstError          string           // guarded by mu

	stop    context.CancelFunc // of the traffic
	readers sync.WaitGroup
	asked   sync.WaitGroup // requests under way
}

// serve answers requests until in ends, which is how a node learns that its coordinator is gone, or ctx does.
func (n *node) serve(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.out, n.seen, n.latencies, n.stop = json.NewEncoder(out), newSightings(), bench.NewLatencies(), func() {}
	defer func() {
		cancel()
		n.readers.Wait()
		n.asked.Wait()
		closeAll(&err, n.close...)
	}()
	requests := json.NewDecoder(in)
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return nil
		} else if err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if r.Start != nil || r.Traffic || r.Stopped {
			n.send(n.answer(ctx, r))
			continue
		}
		// Owner: serve. Stop signal: ctx, or its own end. Join: asked.
		n.asked.Go(func() { n.send(n.answer(ctx, r)) })
	}
}

func (n *node) send(r reply) {
	n.writing.Lock()
	defer n.writing.Unlock()
	_ = n.out.Encode(r) // a coordinator that does not listen closes the input, too
}

func (n *node) answer(ctx context.Context, r request) reply {
	a := reply{Seq: r.Seq}
	var err error
	switch {
	case r.Start != nil:
		err = n.start(ctx, *r.Start)
	case n.cache == nil:
		err = errors.New("not started")
	case r.Traffic:
		n.traffic(ctx)
	case r.Change != nil:
		if a.Version, err = n.table.change(ctx, *r.Change); err == nil {
			err = n.cache.Invalidate(ctx, *r.Change)
			a.At = time.Now().UnixNano()
		}
	case r.Read != nil:
		a.At = time.Now().UnixNano()
		var found tier.Result[product]
		found, err = n.cache.Lookup(ctx, *r.Read)
		a.Version, a.Tier = found.Value.Version, found.Tier.String()
	case r.Stopped:
		n.stop()
		n.readers.Wait()
		a.Report, err = n.report(r.Stop)
	}
	if err != nil {
		a.Error, a.Down = err.Error(), errors.Is(err, tier.ErrUnavailable)
	}
	return a
}

// start opens everything and waits until the cache may use its local tier.
func (n *node) start(ctx context.Context, c nodeConfig) (err error) {
	if n.cache != nil {
		return errors.New("started already")
	}
	n.config = c
	if n.table, err = openProducts(c.Database, c.Delay); err != nil {
		return err
	}
	n.close = append(n.close, n.table.Close)
	if n.shared == nil {
		if n.shared, err = backend.Open(ctx, c.Backend); err != nil {
			return err
		}
		n.close = append(n.close, n.shared.Close)
	}
	if n.bus == nil {
		if n.bus, err = openBus(ctx, c.Bus, nil); err != nil {
			return err
		}
		n.close = append(n.close, n.bus.Close)
	}
	cache, err := tier.New("strata-demo", &tier.Options[int64, product]{
		Remote: n.shared, Bus: n.bus, Version: c.Version, MaxStaleness: c.MaxStaleness,
		Policy: policy.CacheAside[int64, product](n.table),
	})
	if err != nil {
		return err
	}
	n.close = append(n.close, cache.Close)
	n.cache = cache
	return n.awaitTrust(ctx)
}

func (n *node) awaitTrust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !n.cache.Stats().Trusted {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the bus is not heard: %w", tier.ErrUnavailable)
		case <-poll.C:
		}
	}
	return nil
}

// report is what the node did. Its readers have ended.
func (n *node) report(ids []int64) (*nodeReport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	encoded, err := n.latencies.Encode()
	if err != nil {
		return nil, err
	}
	stats := n.cache.Stats()
	r := &nodeReport{
		Node: n.config.Node, Pid: os.Getpid(), Errors: n.errors.Load(), FirstError: n.firstError,
		Loads: stats.Loads, Invalidated: stats.Invalidated, Received: stats.Received, Seen: n.seen.of(ids),
	}
	for i, s := range encoded {
		r.Latencies[i] = []byte(s)
	}
	return r, nil
}
