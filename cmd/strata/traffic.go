package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/strata-cache/strata/bench"
	"github.com/strata-cache/strata/tier"
)

// traffic begins to read.
func (n *node) traffic(ctx context.Context) {
	ctx, n.stop = context.WithCancel(ctx)
	w, err := bench.Zipf(n.config.Products, 0.99)
	if err != nil {
		return // the coordinator has checked the number
	}
	turn := w.Turn(n.config.Seed + uint64(n.config.Node)*1_000_003)
	for i := range n.config.Readers {
		pick := turn(i)
		// Owner: the node. Stop signal: stop. Join: readers.
		n.readers.Go(func() { n.read(ctx, pick) })
	}
	// The same.
	n.readers.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n.send(reply{Reads: n.reads.Load(), Hits: n.hits.Load()})
			}
		}
	})
}

// read reads at its share of the rate, in small bursts.
func (n *node) read(ctx context.Context, pick func() (int, bool)) {
	own := bench.NewLatencies()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.latencies.Merge(own)
	}()
	interval := time.Duration(float64(time.Second) * float64(n.config.Readers) / float64(n.config.Rate))
	next := time.Now().Add(rand.N(interval))
	pause := time.NewTimer(0)
	defer pause.Stop()
	for ctx.Err() == nil {
		if wait := time.Until(next); wait > 0 {
			pause.Reset(max(wait, time.Millisecond))
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		} else if wait < -100*time.Millisecond {
			next = time.Now() // the source was slow: what was not read is not caught up with
		}
		next = next.Add(interval)
		i, _ := pick()
		began := time.Now()
		found, err := n.cache.Lookup(ctx, int64(i))
		took := time.Since(began)
		if err != nil && ctx.Err() != nil {
			return
		}
		n.reads.Add(1)
		if err != nil {
			n.errors.Add(1)
			n.mu.Lock()
			if n.firstError == "" {
				n.firstError = err.Error()
			}
			n.mu.Unlock()
			continue
		}
		if found.Tier != tier.Source {
			n.hits.Add(1)
		}
		own.Record(found.Tier, took)
		n.seen.add(int64(i), found.Value.Version, began.UnixNano())
	}
}
