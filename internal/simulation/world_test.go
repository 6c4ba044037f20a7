package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/invalidation/membus"
)

// A server is one end of a call.
type server int

const (
	remote server = iota
	bus
)

func (s server) String() string { return [...]string{"remote", "bus"}[s] }

// A world is what one script runs in. All of it lives in one synctest bubble.
type world struct {
	script  *script
	tracing bool
	began   time.Time
	root    *backend.Store
	memory  *memory.Memory
	hub     *membus.Hub
	nodes   [nodes]*node
	turns   []chan struct{} // of those who Set, for each key
	serial  bool            // writers take turns: somebody Sets
	work    sync.WaitGroup  // of everything; it ends by itself

	// mu guards all below, and what nodes and lives say it guards.
	mu      sync.Mutex
	down    [2]time.Duration // until when each server does not answer
	history []string
	trace   []string
	tokens  map[record.Token]int // in the order in which they were seen, for the trace
	source  source
	bad     *violation
	lost    time.Duration // when the remote tier last lost data
	server  int           // which remote server it is: another one after it has lost data
}

// A violation is a promise that was not kept.
type violation struct{ Kind, Text string }

func (v *violation) String() string { return v.Kind + ": " + v.Text }

// A node is a place where lives follow each other.
type node struct {
	w  *world
	id int

	// Guarded by world.mu.
	life   *life
	lives  int
	paused time.Duration    // until when
	cut    [2]time.Duration // until when, from each server
	hole   time.Duration    // until when the bus is not heard
	repair map[string]bool  // what its repair log holds
}

// An outcome is what a run left.
type outcome struct {
	bad     *violation
	history []string // in the order of time
	trace   []string
}

// run runs a script.
func run(t *testing.T, s *script, tracing bool) (out outcome) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(s, tracing)
		w.play()
		out = outcome{bad: w.bad, history: w.history, trace: w.trace}
	})
	slices.Sort(out.history)
	return out
}

func newWorld(s *script, tracing bool) *world {
	// A moment of its own to begin at: what is derived from the clock alone differs from seed to seed, too.
	time.Sleep(time.Duration(mix(s.Seed, 1) % uint64(time.Second)))
	w := &world{script: s, tracing: tracing, began: time.Now(), root: memory.New(nil), hub: membus.NewHub()}
	w.root.As(&w.memory)
	w.source.init(s.Keys)
	for range s.Keys {
		w.turns = append(w.turns, make(chan struct{}, 1))
	}
	w.serial = !s.Through && slices.ContainsFunc(s.Items, func(it item) bool { return it.Op == set })
	for i := range w.nodes {
		w.nodes[i] = &node{w: w, id: i, repair: map[string]bool{}}
	}
	return w
}

// play runs the script to its end.
func (w *world) play() {
	for i, n := range w.nodes {
		w.after(time.Duration(i)*ms(3), uint64(i), n.start)
	}
	for i := range w.script.Items {
		it := &w.script.Items[i]
		w.after(it.At, it.Seed, func() { w.do(it) })
	}
	w.after(healed, 2, w.heal)
	var judged sync.WaitGroup
	for _, n := range w.nodes {
		for k := range w.script.Keys {
			for again := range 2 {
				salt := uint64(n.id*100 + k*10 + again)
				judged.Add(1)
				w.after(judgedAt+time.Duration(again)*ms(50), salt, func() {
					defer judged.Done()
					w.judge(n, k, salt)
				})
			}
		}
	}
	judged.Wait()
	for _, n := range w.nodes {
		w.mu.Lock()
		l := n.life
		w.mu.Unlock()
		if l != nil {
			w.work.Go(l.close)
		}
	}
	w.work.Wait()
	if err := w.root.Close(); err != nil {
		w.violate("close", "%v", err)
	}
}

// after lets do happen at a time from the beginning, no two at the same.
func (w *world) after(at time.Duration, salt uint64, do func()) {
	w.work.Go(func() {
		within := ms(1)
		if w.script.Exact {
			within = time.Microsecond
		}
		time.Sleep(at - w.now() + time.Duration(mix(w.script.Seed, salt, uint64(at))%uint64(within)))
		do()
	})
}

// now is the time since the beginning.
func (w *world) now() time.Duration { return time.Since(w.began) }

// mix makes one number of several, as a hash does.
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h ^= p
		h ^= h >> 30
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 27
		h *= 0x94d049bb133111eb
		h ^= h >> 31
		h += 0x9e3779b97f4a7c15
	}
	return h
}

// between draws a time from [from, to). What is drawn depends on the seed, the moment and the salt, and on no other draw, so
// that it is the same whichever of several goroutines draws first.
func (w *world) between(from, to time.Duration, salt uint64) time.Duration {
	return from + time.Duration(mix(w.script.Seed, salt, uint64(w.now()))%uint64(to-from))
}

// chance is true once in n.
func (w *world) chance(n uint64, salt uint64) bool {
	return mix(w.script.Seed, salt, uint64(w.now()), 3)%n == 0
}

func (w *world) log(format string, args ...any) {
	if !w.tracing {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logLocked(format, args...)
}

func (w *world) logLocked(format string, args ...any) {
	if w.tracing && w.bad == nil {
		w.trace = append(w.trace, fmt.Sprintf("%10.3f  ", float64(w.now())/1e6)+fmt.Sprintf(format, args...))
	}
}

// record notes what a call brought, for the comparison of two runs of one seed.
func (w *world) record(l *life, it *item, what string, version int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := ""
	if err != nil {
		kind = strings.SplitN(err.Error(), "\n", 2)[0]
	}
	w.history = append(w.history, fmt.Sprintf("%012d N%d.%d %s %d v%d %s", w.now(), l.node.id, l.inc, what, it.Key, version, kind))
	w.logLocked("N%d %s k%d: v%d %s", l.node.id, what, it.Key, version, kind)
}

func (w *world) violate(kind, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violateLocked(kind, format, args...)
}

func (w *world) violateLocked(kind, format string, args ...any) {
	if w.bad == nil {
		v := &violation{kind, fmt.Sprintf(format, args...)}
		w.logLocked("VIOLATION %v", v)
		w.bad = v // the first ends the trace
	}
}

// An exec is one item under way; the context of its calls carries it.
type exec struct {
	it    *item
	v     version // what it writes, if it does
	calls atomic.Int64
}

type execKey struct{}

func execOf(ctx context.Context) *exec {
	x, _ := ctx.Value(execKey{}).(*exec)
	return x
}

var errDead = errors.New("this node has crashed")

// hold returns when the node is not paused, and an error if it has crashed.
func (l *life) hold() error {
	w := l.w
	for {
		w.mu.Lock()
		dead, left := l.dead, l.node.paused-w.now()
		w.mu.Unlock()
		switch {
		case dead:
			return errDead
		case left <= 0:
			return nil
		}
		time.Sleep(left + w.between(0, 50*time.Microsecond, l.salt))
	}
}
