package tier

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
)

const (
	// guardTries is how often one step of the guard begins anew because another node was faster, or the server another one.
	guardTries = 8
	// idleTicks is how many ticks pass between two testimonies while nothing is announced.
	idleTicks = 16
	// slack is how long a writer's steps may take, from the first to the acknowledgement of its announcement. One that took longer
	// repeats them, and before this has passed nobody vouches: so nothing whose effect is lost is announced later. It is the
	// same on all nodes.
	slack = 500 * time.Millisecond
	// leastPatience is what a guard's patience is at least, as other nodes may be slower than this one.
	leastPatience = 6 * time.Second
	// guardWait is how long a read waits for what the guard is about to find out.
	guardWait = 250 * time.Millisecond
)

// errUnsure is the remote tier's error while it is not known whether its data are of today.
var errUnsure = fmt.Errorf("the server may have come back with older data, and it is not known yet which: %w", ErrUnavailable)

// A guard keeps a cache from using what a remote server should have forgotten: one that failed over to a replica which was
// behind, that restarted from an old snapshot, or was restored from one. The rules are those of testimony.
//
//	unsettled ── the testimony names this server's life ─────────────────────────▶ settled
//	    ▲        or another life: write it anew, with a rewind; or none: with a floor  │
//	    └──────────────── a connection to a server of another identity ◀──────────────┘
//
// Its goroutine reads and writes the testimony: once at the beginning and after each change of a server, after what this
// node announced, at most once a tick, and now and then while nothing is. Readers only look at the present view.
type guard struct {
	store *backend.Store
	bus   *invalidation.Bus
	key   string
	tick  time.Duration
	// patience is how long all other nodes have to delete what only they heard, where the bus began another life too.
	patience time.Duration
	tell     func(ctx context.Context, keys []string) error // announces
	heard    memory

	announced atomic.Pointer[invalidation.Position] // the last that this node announced
	view      atomic.Pointer[view]

	// mu guards lives, and that view follows it.
	mu    sync.Mutex
	lives map[string]string // identities of the servers, by name

	// Of the goroutine alone.
	nameless string // stands for the identity of a server of which no hook has told
	noticed  noticed

	poke chan struct{} // capacity 1
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // nil before start
}

// A view is what the guard knows at a time; it is never changed.
type view struct {
	life     uint64 // moves with every identity that is another
	settled  bool   // t speaks for all servers
	since    time.Duration
	at       time.Duration // when t was known to stand there
	t        testimony
	token    record.Token
	replaced chan struct{} // closed when another view takes its place
}

func newGuard(store *backend.Store, bus *invalidation.Bus, key string, bound time.Duration) *guard {
	g := &guard{
		store: store, bus: bus, key: key, tick: bound / 5,
		patience: max(2*bound, leastPatience),
		lives:    map[string]string{}, nameless: rand.Text(), poke: make(chan struct{}, 1),
	}
	g.view.Store(&view{since: mono.Now(), replaced: make(chan struct{})})
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// start begins. It is called once, at most.
func (g *guard) start(event func(error)) error {
	if g == nil {
		return nil
	}
	if err := g.store.OnServer(g.met); err != nil {
		return err
	}
	g.done = make(chan struct{})
	go g.run(event) // ends with stop; close joins it
	return nil
}

func (g *guard) close() {
	if g == nil {
		return
	}
	g.stop()
	if g.done != nil {
		<-g.done
	}
}

// met is told of each new connection's server before the connection is used.
func (g *guard) met(server, identity string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lives[server] == identity || g.ctx.Err() != nil {
		return
	}
	g.lives[server] = identity
	g.replaceLocked(func(v *view) {
		v.life++
		v.settled, v.since = false, mono.Now()
	})
	g.wake()
}

func (g *guard) wake() {
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// replaceLocked changes a copy of the view; mu must be held.
func (g *guard) replaceLocked(change func(*view)) {
	old := g.view.Load()
	next := *old
	next.replaced = make(chan struct{})
	change(&next)
	g.view.Store(&next)
	close(old.replaced)
}

// adopt makes t the testimony of a life, unless that has passed.
func (g *guard) adopt(life uint64, t testimony, token record.Token) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.view.Load().life != life {
		return false
	}
	g.replaceLocked(func(v *view) { v.settled, v.t, v.token, v.at = true, t, token, mono.Now() })
	return true
}

// present returns the life of now and the servers' identities in it.
func (g *guard) present() (uint64, map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lives) == 0 {
		return g.view.Load().life, map[string]string{"": g.nameless}
	}
	return g.view.Load().life, maps.Clone(g.lives)
}

// look returns the view before something is asked of the remote tier; nil if nobody guards it.
func (g *guard) look() *view {
	if g == nil || weaken.Off(weaken.Guard) {
		return nil
	}
	return g.view.Load()
}

// settled reports whether something may be asked of the remote tier when the view is v.
func (g *guard) settled(v *view) bool { return v == nil || v.settled }

// moved reports whether the server became another since the view was v: a reply that was asked for then is of nobody knows which.
func (g *guard) moved(v *view) bool { return v != nil && g.view.Load().life != v.life }

// dead reports whether a value must not be used that was loaded at p and was asked for when the view was v.
func (g *guard) dead(v *view, p invalidation.Position) bool {
	if v == nil {
		return false
	}
	now := g.view.Load()
	return !v.settled || !now.settled || now.life != v.life || v.t.dead(p) || now.t.dead(p)
}

// await waits, not for long, until the guard has settled, and reports whether it has.
func (g *guard) await(ctx context.Context) bool {
	if g == nil {
		return true
	}
	for {
		v := g.view.Load()
		if v.settled {
			return true
		}
		timer := time.NewTimer(max(0, v.since+guardWait-mono.Now()))
		select {
		case <-v.replaced:
			timer.Stop()
			continue
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		return false
	}
}

// position is up to where this node has applied the log, or, where that is more, what is written of it: whatever is announced later
// a load that begins now has not missed.
func (g *guard) position() invalidation.Position {
	if g == nil {
		return invalidation.Position{}
	}
	p := g.bus.Position()
	if v := g.view.Load(); v.settled && (p.IsZero() || p.Before(v.t.Upto.Position)) {
		return v.t.Upto.Position
	}
	return p
}

// applied notes what was announced at p.
func (g *guard) applied(p invalidation.Position, m invalidation.Message) {
	if g == nil {
		return
	}
	g.heard.contiguous(invalidation.Position{Incarnation: p.Incarnation, N: p.N - 1})
	g.heard.note(p, m)
}

// told notes what this node announced, at p or before.
func (g *guard) told(p invalidation.Position, m invalidation.Message) {
	if g == nil {
		return
	}
	g.heard.note(p, m)
	g.announced.Store(&p)
}

// missed notes that this node does not know all of what was announced.
func (g *guard) missed(reason string) {
	if g == nil {
		return
	}
	g.heard.missed(reason)
	g.wake() // it may be that the bus began another life
}

// contiguous notes that this node has applied the log up to where it is.
func (g *guard) contiguous() {
	if g != nil {
		g.heard.contiguous(g.bus.Position())
	}
}

// An attempt is what a writer knows when it begins.
type attempt struct {
	view        *view
	at          time.Duration
	incarnation invalidation.Incarnation // of the bus; zero: not known
}

// repeats is how often a writer repeats what may be lost before it leaves that to the repairs.
const repeats = 3

// errOvertaken is why a write is not acknowledged after all.
var errOvertaken = fmt.Errorf("the server became another one each time: %w", ErrUnavailable)

// begin is called before a writer's first remote step. p is how far the writer has applied the log.
func (g *guard) begin(p invalidation.Position) attempt {
	return attempt{view: g.look(), at: mono.Now(), incarnation: p.Incarnation}
}

// overtaken reports, when a writer's last announcement is acknowledged, whether the remote tier may have lost what the writer did
// there, in a way that nobody who vouches for it would know: the server has become another one, or could have, or the bus has.
// Then a holds for the next attempt.
func (g *guard) overtaken(a *attempt) bool {
	if a.view == nil {
		return false
	}
	last := *a
	*a = g.begin(invalidation.Position{})
	if p := g.announced.Load(); p != nil {
		a.incarnation = p.Incarnation
	}
	return last.view.life != a.view.life || a.at-last.at > slack ||
		last.incarnation != (invalidation.Incarnation{}) && last.incarnation != a.incarnation
}
