package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// turn is one target's part of a round.
type turn struct {
	config *Config
	target Target
	cache  *tier.Cache[string, []byte]
	source *source
	done   atomic.Uint64 // accesses so far, about
}

// outcome is what came of a turn, or of one reader of it.
type outcome struct {
	latencies  *Latencies
	read       []bool // by key
	accesses   uint64
	errors     uint64
	firstError string
	wrong      uint64
	elapsed    time.Duration
}

// runTurn reads until the workload or its time ends, or ctx does, which is no error.
func runTurn(ctx context.Context, c *Config, target Target, progress func(accesses uint64, share float64)) (outcome, *source, tier.Stats, error) {
	t := &turn{config: c, target: target, source: newSource(c.ValueSize, c.SourceDelay)}
	// One process is the whole fleet here, so a bus in memory tells it all that there is to tell.
	bus := membus.Bus(membus.NewHub(), nil)
	defer bus.Close()
	if err := t.open(ctx, bus); err != nil {
		return outcome{}, nil, tier.Stats{}, err
	}
	out := t.read(ctx, progress)
	stats := t.cache.Stats()
	return out, t.source, stats, t.cache.Close()
}

// open makes an empty cache and waits until its bus is heard: the first subscription gives up what was loaded before it,
// loads under way included, which would count twice.
func (t *turn) open(ctx context.Context, bus *invalidation.Bus) error {
	var id [8]byte
	rand.Read(id[:])
	c, err := tier.New("bench", &tier.Options[string, []byte]{
		Remote:    t.target.Store,
		Bus:       bus,
		Policy:    policy.CacheAside[string, []byte](policy.LoaderFunc[string, []byte](t.source.load)),
		TTL:       t.config.TTL,
		LocalCost: t.config.LocalCost,
		Codec:     codec.Bytes(),
		Version:   hex.EncodeToString(id[:]), // data of other turns and runs do not count
	})
	if err != nil {
		return err
	}
	t.cache = c
	if err := awaitTrust(ctx, c); err != nil {
		return errors.Join(err, c.Close())
	}
	return nil
}

// awaitTrust waits until the bus vouches for c's local tier. Nothing tells, so it polls.
func awaitTrust(ctx context.Context, c *tier.Cache[string, []byte]) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !c.Stats().Trusted {
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: the local tier was not ready: %w", ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// read runs the readers and waits for them.
func (t *turn) read(ctx context.Context, progress func(uint64, float64)) outcome {
	limit := uint64(t.config.Workload.Accesses())
	pick := t.config.Workload.Turn(t.config.Seed)
	outs := make([]outcome, t.config.Concurrency)
	began := time.Now()
	var end time.Time
	if limit == 0 {
		end = began.Add(t.config.Turn)
	}
	var readers sync.WaitGroup
	for i := range outs {
		// Owner: read. Stop signal: the end of the workload, of its time, or of ctx. Join: Wait below.
		readers.Go(func() { outs[i] = t.reader(ctx, pick(i), end) })
	}
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	// Owner: read. Stop signal: stop. Join: Wait below.
	watcher.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				n := t.done.Load()
				share := float64(time.Since(began)) / float64(t.config.Turn)
				if limit > 0 {
					share = float64(n) / float64(limit)
				}
				progress(n, min(share, 1))
			}
		}
	})
	readers.Wait()
	elapsed := time.Since(began)
	close(stop)
	watcher.Wait()
	all := outcome{latencies: NewLatencies(), read: make([]bool, t.config.Workload.Len()), elapsed: elapsed}
	for _, o := range outs {
		all.add(o)
	}
	return all
}

// add adds what came of another turn, or of a reader.
func (o *outcome) add(p outcome) {
	o.latencies.Merge(p.latencies)
	for i, read := range p.read {
		o.read[i] = o.read[i] || read
	}
	o.accesses += p.accesses
	o.errors += p.errors
	o.wrong += p.wrong
	if o.firstError == "" {
		o.firstError = p.firstError
	}
}

// reader reads what pick says, one key after the other.
func (t *turn) reader(ctx context.Context, pick func() (int, bool), end time.Time) outcome {
	w := t.config.Workload
	o := outcome{latencies: NewLatencies(), read: make([]bool, w.Len())}
	for ctx.Err() == nil {
		i, ok := pick()
		if !ok {
			break
		}
		key := w.Key(i)
		began := time.Now()
		if !end.IsZero() && !began.Before(end) {
			break
		}
		found, err := t.cache.Lookup(ctx, key)
		took := time.Since(began)
		if err != nil && ctx.Err() != nil {
			break // interrupted, not failed
		}
		o.accesses++
		if o.accesses%64 == 0 {
			t.done.Add(64)
		}
		o.read[i] = true
		switch {
		case err != nil:
			if o.errors++; o.firstError == "" {
				o.firstError = err.Error()
			}
			continue
		case !checkValue(found.Value, key, t.config.ValueSize):
			o.wrong++
		}
		o.latencies.Record(found.Tier, took)
	}
	return o
}
