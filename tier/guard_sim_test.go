package tier_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A farAway is the driver of one process: calls take their time there and back, and fail once it has died.
type farAway struct {
	backend driver.Driver
	most    time.Duration
	dead    atomic.Bool
	calls   atomic.Int64

	pauses     bool // of the process, now and then
	afterGet   func(keys []string)
	afterWrite func()
}

// overStore makes a driver of a store.
type overStore struct{ s *backend.Store }

func (o overStore) Get(ctx context.Context, keys []string) []driver.Result {
	return o.s.Get(ctx, keys...)
}
func (o overStore) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	return o.s.Write(ctx, ops...)
}
func (o overStore) Ping(ctx context.Context) error { return o.s.Ping(ctx) }
func (o overStore) String() string                 { return o.s.String() }
func (o overStore) Close() error                   { return nil }
func (o overStore) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	return o.s.Scan(ctx, prefix, yield)
}
func (o overStore) MayRewind() bool { return o.s.MayRewind() }
func (o overStore) OnServer(hook func(server, identity string)) {
	if err := o.s.OnServer(hook); err != nil {
		panic(err)
	}
}

func (f *farAway) Unwrap() driver.Driver { return f.backend }
func (f *farAway) way() error {
	time.Sleep(rand.N(f.most))
	if f.pauses && rand.N(100) == 0 {
		time.Sleep(rand.N(2 * time.Second))
	}
	if f.dead.Load() {
		return fmt.Errorf("the process has died: %w", sentinel.ErrUnavailable)
	}
	return nil
}

func (f *farAway) Get(ctx context.Context, keys []string) []driver.Result {
	err := f.way()
	var r []driver.Result
	if err == nil {
		f.calls.Add(1)
		r = f.backend.Get(ctx, keys)
		if f.afterGet != nil {
			f.afterGet(keys)
		}
		err = f.way()
	}
	if err != nil {
		r = make([]driver.Result, len(keys))
		for i := range r {
			r[i].Err = err
		}
	}
	return r
}

func (f *farAway) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	err := f.way()
	var e []driver.Effect
	if err == nil {
		f.calls.Add(1)
		e = f.backend.Write(ctx, ops)
		if f.afterWrite != nil {
			f.afterWrite()
		}
		err = f.way()
	}
	if err != nil {
		e = make([]driver.Effect, len(ops))
		for i := range e {
			e[i].Err = err
		}
	}
	return e
}
func (f *farAway) Ping(ctx context.Context) error { return f.backend.Ping(ctx) }
func (f *farAway) String() string                 { return "far" }
func (f *farAway) Close() error                   { return nil }

// A rewindWorld is a fleet whose remote server comes back with older data now and then.
type rewindWorld struct {
	store *backend.Store
	mem   *memory.Memory
	hub   *membus.Hub
	far   time.Duration
	bound time.Duration

	mu                   sync.Mutex
	keys                 []simKey
	fails                []string
	reads, loads, remote int
	told                 []string
}

type simKey struct {
	now   int // at the source
	acked []simAck
}

type simAck struct {
	at      time.Time
	version int
	node    int
}

type simNode struct {
	id   int
	far  *farAway
	bus  *invalidation.Bus
	c    *tier.Cache[int, int]
	stop context.CancelFunc
	done sync.WaitGroup
}

func (w *rewindWorld) load(_ context.Context, k int) (int, error) {
	time.Sleep(rand.N(3 * w.far))
	w.mu.Lock()
	v := w.keys[k].now
	w.loads++
	w.mu.Unlock()
	time.Sleep(rand.N(3 * w.far))
	return v, nil
}

func (w *rewindWorld) node(t *testing.T, id int) *simNode {
	n := &simNode{id: id, far: &farAway{backend: overStore{w.store}, most: w.far, pauses: true}}
	n.bus = membus.Bus(w.hub, nil)
	c, err := tier.New("sim", &tier.Options[int, int]{
		Remote: backend.New(n.far), Bus: n.bus, MaxStaleness: w.bound, TTL: time.Hour,
		Policy: policy.CacheAside[int, int](policy.LoaderFunc[int, int](w.load)),
		OnEvent: func(e tier.Event) {
			if e.Kind == tier.EventRewind {
				w.mu.Lock()
				w.told = append(w.told, e.Err.Error())
				w.mu.Unlock()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.c = c
	var ctx context.Context
	ctx, n.stop = context.WithCancel(t.Context())
	for range 2 {
		n.done.Go(func() { w.read(ctx, n) })
	}
	n.done.Go(func() { w.write(ctx, n) })
	return n
}

func (n *simNode) die() {
	n.far.dead.Store(true)
	n.stop()
	n.bus.Close()
	n.done.Wait()
	n.c.Close()
}

func (w *rewindWorld) read(ctx context.Context, n *simNode) {
	for ctx.Err() == nil {
		k := rand.IntN(len(w.keys))
		began := time.Now()
		r, err := n.c.Lookup(ctx, k)
		if err != nil && ctx.Err() == nil {
			w.fail("node %d: Get(%d): %v", n.id, k, err)
		}
		if err == nil {
			w.judge(n, k, r, began)
		}
		time.Sleep(rand.N(20 * time.Millisecond))
	}
}

func (w *rewindWorld) judge(n *simNode, k int, r tier.Result[int], began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if r.Tier == tier.Remote {
		w.remote++
	}
	for _, a := range w.keys[k].acked {
		if a.version > r.Value && (a.at.Add(w.bound).Before(began) || a.node == n.id && a.at.Before(began)) {
			w.fails = append(w.fails, fmt.Sprintf("%v: node %d read key %d version %d from %v, begun %v after node %d's version %d was acknowledged",
				time.Now().Format("05.000"), n.id, k, r.Value, r.Tier, began.Sub(a.at), a.node, a.version))
			return
		}
	}
}

func (w *rewindWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails = append(w.fails, fmt.Sprintf(format, args...))
}

func (w *rewindWorld) write(ctx context.Context, n *simNode) {
	for ctx.Err() == nil {
		time.Sleep(rand.N(200 * time.Millisecond))
		k := rand.IntN(len(w.keys))
		w.mu.Lock()
		w.keys[k].now++
		v := w.keys[k].now
		w.mu.Unlock()
		// The process may die here: that is the application's window, so it does not in this world.
		if err := n.c.Invalidate(context.WithoutCancel(ctx), k); err == nil {
			w.mu.Lock()
			w.keys[k].acked = append(w.keys[k].acked, simAck{time.Now(), v, n.id})
			w.mu.Unlock()
		} else if !errors.Is(err, tier.ErrInvalidationPending) && !errors.Is(err, tier.ErrClosed) {
			w.fail("node %d: Invalidate: %v", n.id, err)
		} else if ctx.Err() != nil {
			w.mu.Lock() // it died within: TTL
			w.keys[k].acked = nil
			w.mu.Unlock()
		}
	}
}

// run lets the world run for a while of its own time, with faults of a kind: separate, the bus lives on; together, it loses its
// life too.
func (w *rewindWorld) run(t *testing.T, rnd *rand.Rand, together bool) {
	w.keys = make([]simKey, 12)
	w.bound, w.far = time.Second, time.Duration(1+rnd.IntN(20))*time.Millisecond
	w.store, w.hub = memory.New(nil), membus.NewHub()
	if !w.store.As(&w.mem) {
		t.Fatal("no memory")
	}
	ids := 0
	next := func() int { ids++; return ids }
	nodes := []*simNode{w.node(t, next()), w.node(t, next()), w.node(t, next())}
	snapshots := []*memory.Snapshot{w.mem.Snapshot()}
	rest := func(most time.Duration) { time.Sleep(time.Duration(rnd.Int64N(int64(most)))) }
	rest(5 * time.Second)
	for range 6 {
		if rnd.IntN(3) > 0 {
			snapshots = append(snapshots, w.mem.Snapshot())
		}
		rest(3 * time.Second)
		if rnd.IntN(3) == 0 {
			i := rnd.IntN(len(nodes))
			nodes[i].die()
			if rnd.IntN(2) == 0 {
				rest(time.Second)
			}
			nodes[i] = w.node(t, next())
		}
		switch rnd.IntN(6) { // of the bus, just before
		case 0:
			w.hub.Cut()
		case 1:
			w.hub.Drop(1 + rnd.IntN(3))
		case 2:
			w.hub.Pause()
			rest(500 * time.Millisecond)
			if !together {
			}
		}
		dead := -1
		if rnd.IntN(3) == 0 {
			dead = rnd.IntN(len(nodes))
			nodes[dead].die()
		}
		s := snapshots[len(snapshots)-1]
		if rnd.IntN(4) == 0 {
			s = snapshots[rnd.IntN(len(snapshots))]
		}
		if together {
			w.hub.Stop()
			rest(100 * time.Millisecond)
		}
		if err := w.mem.Restore(s); err != nil {
			t.Fatal(err)
		}
		if together {
			w.hub.Restart()
			w.hub.Start()
		}
		w.hub.Resume()
		if dead >= 0 {
			rest(2 * time.Second)
			nodes[dead] = w.node(t, next())
		}
		rest(12 * time.Second)
	}
	time.Sleep(5 * time.Second)
	for _, n := range nodes {
		n.stop()
		n.done.Wait()
	}
	time.Sleep(5 * time.Second)
	for _, n := range nodes {
		for k := range w.keys {
			began := time.Now()
			if r, err := n.c.Lookup(t.Context(), k); err != nil {
				w.fail("at the end: %v", err)
			} else {
				w.judge(n, k, r, began)
			}
		}
	}
	for _, n := range nodes {
		n.die()
	}
	w.store.Close()
}

func TestRandomRewindsServeNothingOld(t *testing.T) { // not parallel: one case switches the guard off
	seeds, first := 8, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("STRATA_REWIND_SEEDS")); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("STRATA_REWIND_FIRST"), 10, 64); err == nil {
		first = n
	}
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("bus too=%t", together), func(t *testing.T) {
			var reads, loads, remote, vouched, rewound, floored int
			for seed := first; seed < first+uint64(seeds); seed++ {
				w := &rewindWorld{}
				synctest.Test(t, func(t *testing.T) { w.run(t, rand.New(rand.NewPCG(seed, 1)), together) })
				for _, f := range w.fails {
					t.Errorf("seed %d: %s", seed, f)
				}
				reads, loads, remote = reads+w.reads, loads+w.loads, remote+w.remote
				for _, told := range w.told {
					switch {
					case strings.Contains(told, "deleted again"):
						vouched++
					case strings.Contains(told, "may have lost"):
						rewound++
					case strings.Contains(told, "nobody knows"):
						floored++
					}
				}
				if t.Failed() {
					break
				}
			}
			t.Logf("%d reads, %d from the remote tier, %d loads; %d rewinds, %d made good, %d of nobody knows what", reads, remote, loads, rewound, vouched, floored)
		})
	}
	t.Run("without the guard", func(t *testing.T) {
		defer weaken.Switch(weaken.Guard)()
		for seed := first; seed < first+20; seed++ {
			w := &rewindWorld{}
			synctest.Test(t, func(t *testing.T) { w.run(t, rand.New(rand.NewPCG(seed, 1)), false) })
			if len(w.fails) > 0 {
				t.Logf("seed %d: %s", seed, w.fails[0])
				return
			}
		}
		t.Error("no violation was found: the search is too weak")
	})
}
