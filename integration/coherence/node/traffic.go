package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/strata-cache/strata/bench"
	"github.com/strata-cache/strata/integration/coherence/clock"
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
	// The same.
	n.workers.Go(func() { n.pending.run(ctx) })
}

// end stops the traffic and waits until no write is left to be repeated.
func (n *node) end(ctx context.Context) error {
	defer func() {
		n.stop()
		n.workers.Wait()
	}()
	n.pending.closing()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for limit := time.Now().Add(endTimeout); n.pending.len() > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			if time.Now().After(limit) {
				return fmt.Errorf("%d writes failed again and again for %v", n.pending.len(), endTimeout)
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

// once does one operation.
func (w *worker) once(ctx context.Context) {
	n, t := w.node, w.node.config.Traffic
	key, _ := w.pick()
	if w.rand.Float64() < t.Writes {
		if n.pending.isClosing() {
			return
		}
		if w.rand.IntN(2) == 0 {
			key = w.rand.IntN(t.Keys)
		}
		verb := Invalidate
		if !t.Invalidate {
			key, verb = verbOf(key, n.config.Node, n.config.Nodes, t.Keys)
		}
		if verb == Set {
			defer n.pending.turn(key)()
		}
		_ = n.write(ctx, key, verb) // recorded
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
	n.read(ctx, key, false)
}

// verbOf returns how a node writes a key, and which it writes instead if the key is another's. A quarter of all keys is written by
// Set, and each of these by one node alone, one write after the other: Sets in another order than the commits leave an
// older value, and that is the application's affair.
func verbOf(key, node, nodes, keys int) (int, string) {
	if key%4 != 3 {
		return key, Invalidate
	}
	group := key / 4
	group += (node - group%nodes + nodes) % nodes
	if k := 4*group + 3; k < keys {
		return k, Set
	}
	return key - 1, Invalidate
}

func (n *node) record(key int, v Value, from tier.Tier, final bool, began, ended int64) {
	r := history.Run{Key: key, Version: v.Version, Final: final, Wrong: v.Key != key}
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

// pending are the writes that failed. An application that must know repeats them, and so does this one.
type pending struct {
	node *node

	mu     sync.Mutex
	keys   map[int]history.Write // guarded by mu, as what follows
	turns  map[int]*sync.Mutex
	closed bool
}

func newPending(n *node) *pending {
	return &pending{node: n, keys: map[int]history.Write{}, turns: map[int]*sync.Mutex{}}
}

func (p *pending) add(w history.Write) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.keys[w.Key]; !ok || known.Version < w.Version {
		p.keys[w.Key] = w
	}
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)
}

// closing ends new writes.
func (p *pending) closing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *pending) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// turn waits for the right to write a key.
func (p *pending) turn(key int) (done func()) {
	p.mu.Lock()
	t := p.turns[key]
	if t == nil {
		t = new(sync.Mutex)
		p.turns[key] = t
	}
	p.mu.Unlock()
	t.Lock()
	return t.Unlock
}

// run repeats what failed until it succeeds.
func (p *pending) run(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		var again []history.Write
		for _, w := range p.keys {
			again = append(again, w)
		}
		p.mu.Unlock()
		for _, w := range again {
			if !p.repeat(context.WithoutCancel(ctx), w) {
				break // what keeps one from succeeding keeps all
			}
		}
	}
}

// repeat invalidates a key whose write failed.
func (p *pending) repeat(ctx context.Context, failed history.Write) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w := failed
	w.Verb, w.Error, w.Began = Invalidate+" again", "", clock.Now()
	if err := p.node.cache.Invalidate(ctx, w.Key); err != nil {
		return false
	}
	w.Ended = clock.Now()
	p.node.send(Message{Writes: []history.Write{w}})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[w.Key].Version == failed.Version {
		delete(p.keys, w.Key)
	}
	return true
}
