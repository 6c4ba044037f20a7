package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/strata-cache/strata/bench"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/tier"
)

// burst is how many operations a worker does at a time: it then sleeps less often.
const burst = 4

// begin starts the traffic.
func (n *node) begin(ctx context.Context) {
	ctx, n.stop = context.WithCancel(ctx)
	t := n.config.Traffic
	zipf, err := bench.Zipf(t.Keys, t.Skew)
	if err != nil {
		return // the coordinator has checked the numbers
	}
	turn := zipf.Turn(t.Seed + uint64(n.config.Node)*1_000_003 + uint64(n.config.Life)*7919)
	for i := range t.Readers {
		r := rand.New(rand.NewPCG(t.Seed, uint64(n.config.Node*1000+i)<<16|uint64(n.config.Life)))
		w := &worker{node: n, rand: r, pick: turn(i)}
		// Owner: the node. Stop signal: stop. Join: workers.
		n.workers.Go(func() { w.run(ctx) })
	}
	if t.Sweep > 0 {
		r := rand.New(rand.NewPCG(t.Seed, uint64(n.config.Node*1000)<<16|uint64(n.config.Life)|1<<63))
		n.workers.Go(func() { n.sweep(ctx, r) }) // as the others
	}
}

// end stops the traffic and waits until no write is left to be repaired. Reads go on until then.
func (n *node) end(ctx context.Context) error {
	defer func() {
		n.stop()
		n.workers.Wait()
	}()
	n.writes.close()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for limit := time.Now().Add(endTimeout); n.cache.Stats().Repairs > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			if time.Now().After(limit) {
				return fmt.Errorf("%d writes are still not repaired after %v", n.cache.Stats().Repairs, endTimeout)
			}
		}
	}
	return nil
}

// A worker does one operation after the other, at its share of the rate.
type worker struct {
	node *node
	rand *rand.Rand
	pick func() (int, bool)
}

func (w *worker) run(ctx context.Context) {
	t := w.node.config.Traffic
	interval := time.Duration(float64(burst*t.Readers) / float64(t.Rate) * float64(time.Second))
	next := time.Now().Add(rand.N(interval))
	pause := time.NewTimer(0)
	defer pause.Stop()
	for ctx.Err() == nil {
		if wait := time.Until(next); wait > 0 {
			pause.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		} else if wait < -time.Second {
			next = time.Now() // what was not read during an outage is not caught up with for ever
		}
		next = next.Add(interval)
		for range burst {
			w.once(context.WithoutCancel(ctx))
		}
	}
}

// sweep invalidates many keys at once, now and then: in turn all keys of a cache, and those with a prefix.
func (n *node) sweep(ctx context.Context, r *rand.Rand) {
	t := n.config.Traffic
	pause := time.NewTimer(rand.N(t.Sweep))
	defer pause.Stop()
	for i := r.IntN(4); ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if n.writes.isClosed() {
			return
		}
		key := kinds*r.IntN(max(1, t.Keys/kinds)) + []int{0, 5}[i/2%2]
		err := n.write(context.WithoutCancel(ctx), Write{Key: key, Verb: []string{Clear, Prefix}[i%2]}) // recorded
		if errors.Is(err, tier.ErrUnsupported) {
			_ = n.write(context.WithoutCancel(ctx), Write{Key: key, Verb: Clear})
		}
		pause.Reset(t.Sweep/2 + rand.N(t.Sweep))
	}
}

// once does one operation.
func (w *worker) once(ctx context.Context) {
	n, t := w.node, w.node.config.Traffic
	key, _ := w.pick()
	if w.rand.Float64() < t.Writes {
		if n.writes.isClosed() {
			return
		}
		verb := Invalidate
		if !t.Calm {
			if w.rand.IntN(2) == 0 {
				key = w.rand.IntN(t.Keys)
			}
			key, verb = verbOf(key, n.config.Node, n.config.Nodes, t.Keys)
		}
		if verb == Set {
			defer n.writes.turn(key)()
		}
		_ = n.write(ctx, Write{Key: key, Verb: verb}) // recorded
		return
	}
	if w.rand.Float64() < t.Many {
		keys := []int{key}
		for range 5 {
			k, _ := w.pick()
			keys = append(keys, k)
		}
		n.readMany(ctx, keys)
		return
	}
	n.read(ctx, key, w.rand.Float64() < t.Fresh, false)
}

func (n *node) record(key int, v Value, from tier.Tier, fresh, final bool, began, ended int64) {
	r := history.Run{Key: key, Version: v.Version, Fresh: fresh, Final: final, Wrong: v.Key != key}
	switch from {
	case tier.Local:
		r.Tiers.Local = 1
	case tier.Remote:
		r.Tiers.Remote = 1
	default:
		r.Tiers.Source = 1
	}
	n.recorder.Add(r, began, ended)
}

// writes are what a node knows of its own writes.
type writes struct {
	mu     sync.Mutex
	turns  map[int]*sync.Mutex // guarded by mu, as closed
	closed bool
}

// close ends new writes.
func (w *writes) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

func (w *writes) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// turn waits for the right to write a key.
func (w *writes) turn(key int) (done func()) {
	w.mu.Lock()
	t := w.turns[key]
	if t == nil {
		t = new(sync.Mutex)
		w.turns[key] = t
	}
	w.mu.Unlock()
	t.Lock()
	return t.Unlock
}
