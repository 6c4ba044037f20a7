package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/bench"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
)

// demo coordinates the nodes and owns the source.
type demo struct {
	flags        *demoFlags
	store        *backend.Store
	peers        []*peer
	changes      []change
	failed       int // changes whose invalidation failed
	firstFailure string
}

// changeEvery is how often a product changes.
const changeEvery = 100 * time.Millisecond

func runDemo(ctx context.Context, s streams, f *demoFlags) (err error) {
	dir, err := os.MkdirTemp("", "strata-demo-")
	if err != nil {
		return err
	}
	defer closeAll(&err, func() error { return os.RemoveAll(dir) })
	file := filepath.Join(dir, "products.db")
	table, err := openProducts(file, 0)
	if err != nil {
		return err
	}
	defer closeAll(&err, table.Close)
	if err := table.create(ctx, f.products); err != nil {
		return orInterrupted(ctx, fmt.Errorf("create the product table: %w", err))
	}
	d := &demo{flags: f}
	if d.store, err = openStore(ctx, f.backend); err != nil {
		return err
	}
	defer closeAll(&err, d.store.Close)
	if err := d.store.Ping(ctx); err != nil {
		return orInterrupted(ctx, fmt.Errorf("%v does not answer: %w", d.store, err))
	}
	var busClosers []func() error
	defer func() { closeAll(&err, busClosers...) }()
	defer func() {
		for _, p := range d.peers {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := d.startNodes(ctx, s, file, &busClosers); err != nil {
		return orInterrupted(ctx, err)
	}
	took, err := d.traffic(ctx, s)
	if err != nil {
		return err
	}
	summary, err := d.summarize(ctx, took)
	if err != nil {
		return err
	}
	if err := summary.write(s, f.asJSON); err != nil {
		return err
	}
	switch {
	case summary.StaleReads > 0:
		return fmt.Errorf("demo: %d stale reads", summary.StaleReads)
	case ctx.Err() != nil:
		return errInterrupted
	case summary.Errors > 0 || summary.FailedInvalidations > 0:
		return fmt.Errorf("demo: %d reads and %d invalidations failed", summary.Errors, summary.FailedInvalidations)
	}
	return nil
}

// startNodes starts all nodes and waits until their caches may serve from memory.
func (d *demo) startNodes(ctx context.Context, s streams, file string, closers *[]func() error) error {
	var id [6]byte
	rand.Read(id[:])
	config := nodeConfig{
		Database: file, Delay: d.flags.delay, Products: d.flags.products, Version: hex.EncodeToString(id[:]),
		MaxStaleness: d.flags.maxStaleness, Seed: d.flags.seed, Rate: d.flags.rate, Readers: 8, Bus: d.flags.bus,
	}
	hub := membus.NewHub()
	for range d.flags.nodes {
		if d.flags.processes {
			p, err := startProcess(ctx, s.err)
			if err != nil {
				return err
			}
			d.peers = append(d.peers, p)
			continue
		}
		n := &node{shared: d.store}
		if d.flags.bus == "" {
			n.bus = membus.Bus(hub, &invalidation.Options{})
			*closers = append(*closers, n.bus.Close)
		}
		d.peers = append(d.peers, startHere(ctx, n))
	}
	if d.flags.processes {
		config.Backend = d.flags.backend
	}
	return d.each(func(i int, p *peer) error {
		c := config
		c.Node = i
		_, err := p.ask(ctx, request{Start: &c})
		return err
	})
}

// each calls do for all nodes at once.
func (d *demo) each(do func(i int, p *peer) error) error {
	errs := make(chan error, len(d.peers))
	for i, p := range d.peers {
		// Owner: each. Stop signal: the peer's reply or end. Join: the channel.
		go func() {
			err := do(i, p)
			if err != nil {
				err = fmt.Errorf("node %d: %w", i+1, err)
			}
			errs <- err
		}()
	}
	var err error
	for range d.peers {
		err = errors.Join(err, <-errs)
	}
	return err
}

// traffic lets the nodes read, and some of them change products, until the time is over or ctx ends.
func (d *demo) traffic(ctx context.Context, s streams) (time.Duration, error) {
	began := time.Now()
	if err := d.each(func(_ int, p *peer) error { _, err := p.ask(ctx, request{Traffic: true}); return err }); err != nil {
		return 0, orInterrupted(ctx, err)
	}
	bar := newBar(s, "")
	defer bar.done()
	zipf, err := bench.Zipf(d.flags.products, 0.99)
	if err != nil {
		return 0, err
	}
	pick := zipf.Turn(d.flags.seed)(1 << 20)
	r := mathrand.New(mathrand.NewPCG(d.flags.seed, 7))
	tick := time.NewTicker(changeEvery)
	defer tick.Stop()
	end := time.NewTimer(d.flags.duration)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Since(began), nil
		case <-end.C:
			return time.Since(began), nil
		case <-tick.C:
			id, _ := pick()
			if err := d.change(ctx, r.IntN(len(d.peers)), int64(id)); err != nil {
				return 0, err
			}
			var reads, hits uint64
			for _, p := range d.peers {
				reads += p.reads.Load()
				hits += p.hits.Load()
			}
			bar.set(float64(time.Since(began))/float64(d.flags.duration),
				fmt.Sprintf("%d reads, %.1f%% hits, %d invalidations", reads, 100*float64(hits)/float64(max(reads, 1)), len(d.changes)))
		}
	}
}

// change makes a node change a product and invalidate it.
func (d *demo) change(ctx context.Context, node int, id int64) error {
	a, err := d.peers[node].ask(ctx, request{Change: &id})
	switch {
	case ctx.Err() != nil: // the loop sees it
	case errors.Is(err, errNodeGone):
		return err
	case err != nil:
		if d.failed++; d.firstFailure == "" {
			d.firstFailure = err.Error()
		}
	default:
		d.changes = append(d.changes, change{node: node, id: id, version: a.Version, returned: a.At})
	}
	return nil
}
