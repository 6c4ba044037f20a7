package tier

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend/record"
)

const (
	repairsMax = 1 << 14 // keys that wait to be repaired; further ones are repaired by a Clear
	tokensMax  = 16      // of this node that one repair takes out; a fence with older ones ends by its TTL
)

// A repair is what is still to be done at one key after a step whose outcome is not known, or surely did not happen. The zero
// key is everything.
//
//	          ┌─ hold ─▶ fence placed ─ due ─┐
//	add ──────┤                              ├─▶ remote: Leave or Delete ─▶ tell: announce ─▶ settled
//	          └──────────────────────────────┘
//
// Each step is tried until it is acknowledged. A key is in doubt as long as its remote step is not: this node reads it from the
// source, uncached. What is added meanwhile begins the repair again: an answer settles only what was added before its question was
// sent.
type repair struct {
	key    string
	remote bool           // the remote tier may hold what is not true, or come to
	tell   bool           // other nodes may hold it
	tokens []record.Token // of this node, in a fence at the key, or on their way there
	later  bool           // not before due
	due    time.Duration  // by the clock of mono
	hold   bool           // until due a fence has to be placed that stands so long

	serial uint64 // of the repairs when something was last added
}

// A task is a repair that is not that of a key: fix is called until it returns nil.
type task struct {
	fix   func(ctx context.Context) error
	doubt bool // everything is in doubt until then
}

// repairs are what waits to be repaired, per key the latest. The zero value is ready.
type repairs struct {
	serial  atomic.Uint64 // counts whatever raises or settles a doubt
	doubted atomic.Int64  // keys, everything, and tasks that doubt it; while it is 0 nobody needs to look further

	mu      sync.Mutex
	by      map[string]*repair // guarded by mu, as all below
	all     *repair            // of everything: by overflow, or a Clear that failed
	tasks   map[string]*task
	running bool // somebody works on it
	wake    chan struct{}
}

// add merges r into what waits, and returns the key of the repair that it became part of. If there is no room for another key that is
// the one of everything, of which overflow tells at the first.
func (q *repairs) add(r repair) (key string, overflow bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signalLocked()
	serial := q.serial.Add(1)
	old := q.by[r.key]
	switch {
	case r.key == "":
		old = q.all
	case old == nil && len(q.by) >= repairsMax:
		overflow, old = q.all == nil, q.all
		r = repair{remote: r.remote, tell: r.tell, later: r.later, due: r.due}
	}
	if old == nil {
		old = &repair{key: r.key}
		if r.key == "" {
			q.all = old
		} else {
			if q.by == nil {
				q.by = make(map[string]*repair)
			}
			q.by[r.key] = old
		}
	}
	if r.remote && !old.remote {
		q.doubted.Add(1)
	}
	old.remote = old.remote || r.remote
	old.tell = old.tell || r.tell
	old.hold = old.hold || r.hold
	if r.later && (!old.later || r.due > old.due) {
		old.later, old.due = true, r.due
	}
	old.tokens = append(old.tokens, r.tokens...)
	old.tokens = slices.Clone(old.tokens[max(0, len(old.tokens)-tokensMax):])
	old.serial = serial
	return old.key, overflow
}

// waits reports whether there is a repair of key.
func (q *repairs) waits(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ofLocked(key) != nil
}

// addTask makes fix be called until it returns nil, in place of an earlier task of that name.
func (q *repairs) addTask(name string, doubt bool, fix func(ctx context.Context) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signalLocked()
	q.serial.Add(1)
	if q.tasks == nil {
		q.tasks = make(map[string]*task)
	}
	if old := q.tasks[name]; old != nil && old.doubt {
		q.doubted.Add(-1)
	}
	if doubt {
		q.doubted.Add(1)
	}
	q.tasks[name] = &task{fix: fix, doubt: doubt}
}

func (q *repairs) signalLocked() {
	if q.wake != nil {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// inDoubt reports whether what the remote tier says of key is not to be believed.
func (q *repairs) inDoubt(key string) bool {
	if q.doubted.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all != nil && q.all.remote {
		return true
	}
	for _, t := range q.tasks {
		if t.doubt {
			return true
		}
	}
	r := q.by[key]
	return r != nil && r.remote
}

// A round is what is to be done now, copied.
type round struct {
	hold  []repair
	keys  []repair
	all   *repair
	tasks map[string]*task
}

func (r round) idle() bool {
	return len(r.hold)+len(r.keys)+len(r.tasks) == 0 && r.all == nil
}

// next returns what is to be done at now, and when there is more to do if nothing is added. If nothing waits at all, who works on it
// stops. Last is at the end of the cache: then everything is done that a fence does not stand for.
func (q *repairs) next(now time.Duration, last bool) (r round, due time.Duration, stopped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	due = forever
	for _, p := range q.by {
		switch {
		case p.dueAt(now):
			r.keys = append(r.keys, p.copied())
		case p.hold:
			r.hold = append(r.hold, p.copied())
		default:
			due = min(due, p.due)
		}
	}
	if p := q.all; p != nil {
		if p.dueAt(now) || last {
			all := p.copied()
			r.all = &all
		} else {
			due = min(due, p.due)
		}
	}
	r.tasks = maps.Clone(q.tasks)
	if len(q.by) == 0 && q.all == nil && len(q.tasks) == 0 {
		q.running, stopped = false, true
	}
	return r, due, stopped
}

func (p *repair) dueAt(now time.Duration) bool { return !p.later || now >= p.due }

func (p *repair) copied() repair {
	c := *p
	c.tokens = slices.Clone(p.tokens)
	return c
}

// start reports whether the caller is to work on what waits, and gives it what is signalled when something is added.
func (q *repairs) start() (wake <-chan struct{}, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running || len(q.by) == 0 && q.all == nil && len(q.tasks) == 0 {
		return nil, false
	}
	q.running = true
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake, true
}

// stop is for who works on it, and ends before all is done.
func (q *repairs) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = false
}

// held notes that a fence stands at the key of p.
func (q *repairs) held(p repair) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.by[p.key]; r != nil && r.serial == p.serial {
		r.hold = false
	}
}

// emptied notes that the remote step of p was acknowledged.
func (q *repairs) emptied(p repair) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.ofLocked(p.key); r != nil && r.serial == p.serial && r.remote {
		r.remote, r.tokens = false, nil
		q.doubted.Add(-1)
		q.serial.Add(1)
		q.doneLocked(r)
	}
}

// told notes that the announcement of p was acknowledged.
func (q *repairs) told(p repair) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.ofLocked(p.key); r != nil && r.serial == p.serial {
		r.tell = false
		q.doneLocked(r)
	}
}

// fixed notes that a task is done.
func (q *repairs) fixed(name string, t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tasks[name] != t {
		return // there is a later one
	}
	delete(q.tasks, name)
	if t.doubt {
		q.doubted.Add(-1)
		q.serial.Add(1)
	}
}

func (q *repairs) ofLocked(key string) *repair {
	if key == "" {
		return q.all
	}
	return q.by[key]
}

func (q *repairs) doneLocked(r *repair) {
	switch {
	case r.remote || r.tell:
	case r.key == "":
		q.all = nil
	default:
		delete(q.by, r.key)
	}
}

// waiting is how many keys and tasks wait, everything counting as one.
func (q *repairs) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.by) + len(q.tasks)
	if q.all != nil {
		n++
	}
	return n
}

// left returns what was not done when the cache closed, but for keys at which a fence of this node outlasts the doubt.
func (q *repairs) left() (keys []string, rest bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, r := range q.by {
		if !r.later || r.hold {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, q.all != nil || len(q.tasks) > 0
}
