package memcachedconn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A keeper keeps a pool's standing up to date with its Membership. Its goroutine alone replaces the standing.
type keeper struct {
	pool    *Pool
	members Membership
	wake    chan struct{} // holds one
	tasks   sync.WaitGroup

	mu      sync.Mutex
	next    *round // guarded by mu; the load that has not begun
	mending bool   // guarded by mu; somebody of this node finishes a change
	trouble error  // guarded by mu; why the last one who did so failed

	// The rest belongs to the goroutine.
	servers map[string]*Server // of the roster
	pending string             // ID of the change under way, and
	since   time.Duration      // mono: when it was seen first
}

// A round is one load that any number of calls wait for.
type round struct {
	done chan struct{}
	st   *standing
	err  error
}

const (
	pendingPoll = 20 * time.Millisecond // between loads while a change is under way
	failedPoll  = 50 * time.Millisecond // after a load that failed
	polls       = 4                     // loads in a lease
)

func newKeeper(p *Pool) *keeper {
	k := &keeper{pool: p, members: p.opts.Membership, wake: make(chan struct{}, 1), servers: make(map[string]*Server)}
	p.standing.Store(&standing{news: make(chan struct{})})
	signal, stop := k.members.Changed()
	k.tasks.Go(func() { // ends with p.ctx; Close joins it
		defer stop()
		k.run(signal)
	})
	return k
}

func (k *keeper) run(signal <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.pool.ctx.Done():
			return
		case _, ok := <-signal:
			if !ok {
				signal = nil
			}
		case <-k.wake:
		case <-timer.C:
		}
		timer.Reset(k.load())
	}
}

// kick asks for a load soon.
func (k *keeper) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// refresh returns the standing by a load that begins after this call did.
func (k *keeper) refresh(ctx context.Context) (*standing, error) {
	k.mu.Lock()
	if k.next == nil {
		k.next = &round{done: make(chan struct{})}
	}
	r := k.next
	k.mu.Unlock()
	k.kick()
	select {
	case <-r.done:
		return r.st, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-k.pool.ctx.Done():
		return nil, sentinel.ErrClosed
	}
}

// await waits for another standing than st. A zero deadline is none.
func (k *keeper) await(ctx context.Context, deadline time.Time, st *standing) (*standing, error) {
	var over <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-st.news:
		return k.pool.standing.Load(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-k.pool.ctx.Done():
		return nil, sentinel.ErrClosed
	case <-over:
		return nil, k.pool.unknown(st.err)
	}
}

// load asks the Membership, makes a standing of the answer, and returns how long to wait for the next.
func (k *keeper) load() time.Duration {
	k.mu.Lock()
	r := k.next
	k.next = nil
	k.mu.Unlock()
	begin := mono.Now()
	reg, epoch, err := k.read(k.pool.ctx)
	if k.pool.isClosed() {
		return failedPoll // who waits for the round sees that too
	}
	before := k.pool.standing.Load()
	st := *before
	st.err, st.news = err, make(chan struct{})
	wait := failedPoll
	if err == nil {
		wait = k.learn(&st, reg, epoch, begin)
	}
	k.pool.standing.Store(&st)
	close(before.news)
	if r != nil {
		r.st, r.err = &st, err
		if err != nil {
			r.err = k.pool.unknown(err)
		}
		close(r.done)
	}
	return wait
}

// read loads what is registered, nil for nothing.
func (k *keeper) read(ctx context.Context) (*registered, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, k.pool.opts.Timeout)
	defer cancel()
	value, epoch, err := k.members.Load(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("load the membership: %w", err)
	}
	if epoch == 0 {
		return nil, 0, nil
	}
	reg, err := decode(value)
	return reg, epoch, err
}

// learn puts into st what was registered after begin.
func (k *keeper) learn(st *standing, reg *registered, epoch uint64, begin time.Duration) time.Duration {
	if reg == nil || st.roster != nil && older(&reg.List, &st.roster.list) {
		// Nothing yet, or the register lost something, and what this node knows is not to be taken further.
		st.pending = true
		k.mend(func(ctx context.Context) error { return k.restore(ctx, st.roster, reg, epoch) })
		return pendingPoll
	}
	if reg.List.ID != "" {
		if st.roster == nil || st.roster.list.ID != reg.List.ID {
			st.roster = k.adopt(reg.List)
		}
		if !reg.Wait {
			st.until = begin + reg.Lease
		}
	}
	st.pending, st.cut, st.waits = reg.Next != nil, nil, 0
	if !st.pending {
		k.pending = ""
		return reg.Lease / polls
	}
	if reg.Wait || len(reg.Cut) > 0 {
		st.waits = reg.waits()
	}
	if len(reg.Cut) > 0 {
		st.cut = make(map[string]bool, len(reg.Cut))
		for _, name := range reg.Cut {
			st.cut[name] = true
		}
	}
	if k.pending != reg.Next.ID {
		k.pending, k.since = reg.Next.ID, mono.Now()
	}
	// Whoever began it has some time to finish it alone.
	if id := reg.Next.ID; mono.Now() >= k.since+2*k.pool.opts.Timeout {
		k.mend(func(ctx context.Context) error { return k.finish(ctx, id) })
	}
	return min(pendingPoll, reg.Lease/polls)
}

// older reports whether a register went back: it now holds a list from before known, or another one of its age.
func older(now, known *list) bool {
	return now.Epoch < known.Epoch || now.Epoch == known.Epoch && now.ID != known.ID
}

// adopt makes a roster of a list, and retires who left.
func (k *keeper) adopt(l list) *roster {
	servers := make(map[string]*Server, len(l.Members))
	r := newRoster(l, func(name string) *Server {
		s, ok := k.servers[name]
		if !ok {
			s = newServer(k.pool, name)
		}
		servers[name] = s
		return s
	})
	k.pool.mu.Lock()
	defer k.pool.mu.Unlock()
	kept := k.pool.servers[:0:0]
	for _, s := range k.pool.servers { // those that left stay until their last call has ended
		if _, stays := servers[s.name]; stays && k.servers[s.name] == s || s.retire() {
			kept = append(kept, s)
		}
	}
	for name, s := range servers {
		if k.servers[name] != s {
			kept = append(kept, s)
		}
	}
	k.pool.servers = kept
	k.servers = servers
	return r
}

// mend runs f in the background unless something of the kind is running.
func (k *keeper) mend(f func(ctx context.Context) error) {
	k.mu.Lock()
	busy := k.mending
	k.mending = true
	k.mu.Unlock()
	if busy {
		return
	}
	k.tasks.Go(func() { // ends with p.ctx; Close joins it
		err := f(k.pool.ctx)
		k.mu.Lock()
		k.mending, k.trouble = false, err // calls report it; it is tried again as long as loads show that it is needed
		k.mu.Unlock()
		if err == nil {
			k.kick()
		}
	})
}

// why returns why there is no news, given what the last load said.
func (k *keeper) why(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		return err
	case k.trouble != nil:
		return k.trouble
	}
	if st := k.pool.standing.Load(); st.waits > 0 {
		return fmt.Errorf("a change waits up to %v for processes that may use an older list of servers", st.waits)
	}
	return errNoAnswer
}
