package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A life is one process on a node, from its start to its crash.
type life struct {
	w     *world
	node  *node
	inc   int
	salt  uint64
	bus   *invalidation.Bus
	cache *tier.Cache[string, int]
	ear   *ear

	// Guarded by world.mu.
	dead   bool // nothing of it reaches the world any more
	hooks  []func(server, identity string)
	server int // the remote server that has answered last
}

// start begins a life.
func (n *node) start() {
	w, s := n.w, n.w.script
	w.mu.Lock()
	if n.life != nil {
		w.mu.Unlock()
		return
	}
	n.lives++
	l := &life{w: w, node: n, inc: n.lives, salt: mix(uint64(n.id), uint64(n.lives))}
	w.mu.Unlock()

	store := w.root.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return &wire{l, d} }})
	l.ear = &ear{life: l, inner: w.hub.Transport()}
	l.bus = invalidation.New(l.ear, &invalidation.Options{Keys: ringOf(s)})
	o := &tier.Options[string, int]{
		Remote: store, Bus: l.bus, Policy: policy.CacheAside[string, int](&loader{l}), SourceSettle: sourceSettle,
		MaxStaleness: maxStaleness, LocalCost: 64 << 10,
		TTL: time.Hour, SoftTTL: s.Soft, LeaseTTL: time.Second, LoadTimeout: 4 * time.Second, OnEvent: l.event,
	}
	if s.Through {
		o.Policy = policy.WriteThrough[string, int](&loader{l})
	}
	if s.Refuse {
		o.WhenUnreachable = tier.Refuse
	}
	if s.Logged {
		o.RepairLog = repairLog{l}
	}
	if s.Negative {
		o.NegativeTTL = time.Hour
	}
	var err error
	if l.cache, err = tier.New("sim", o); err != nil {
		panic(err)
	}
	w.mu.Lock()
	n.life = l
	w.mu.Unlock()
	w.log("N%d starts", n.id)
}

func (l *life) event(e tier.Event) { l.log("event %v", e) }

func (l *life) log(format string, args ...any) {
	if l.w.tracing {
		l.w.log(fmt.Sprintf("N%d ", l.node.id)+format, args...)
	}
}

// crash ends a life: nothing that it does from now on reaches anybody, but what it has sent may still arrive. Another begins.
func (l *life) crash(after time.Duration) {
	w := l.w
	w.mu.Lock()
	gone := l.dead
	l.dead = true
	if !gone {
		l.node.life = nil
		w.logLocked("N%d CRASHES", l.node.id)
	}
	w.mu.Unlock()
	if gone {
		return
	}
	w.work.Go(l.close)
	w.after(w.now()+after, l.salt, l.node.start)
}

// close frees what a life holds.
func (l *life) close() {
	for _, close := range []func() error{l.cache.Close, l.bus.Close} {
		if err := close(); err != nil && l.hold() == nil {
			l.w.violate("close", "N%d: %v", l.node.id, err)
		}
	}
}

// living returns the node's life, nil if it has none.
func (n *node) living() *life {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.life
}

// keyNames are the keys of all scripts. The second shares the first one's stripe.
var keyNames = sync.OnceValue(func() []string {
	const stripes = 1 << 13 // of the smallest local tier
	stripe := func(key string) uint64 { return xxh3.HashString("sim/1/{"+key+"}") % stripes }
	names := []string{"a"}
	for i := 0; ; i++ {
		if key := "a" + itoa(i); stripe(key) == stripe("a") {
			return append(names, key, "c")
		}
	}
})

func (it *item) key() string { return keyNames()[it.Key] }

func indexOf(key string) int {
	for i, k := range keyNames() {
		if k == key {
			return i
		}
	}
	panic(key)
}

// A loader reads the source for a life.
type loader struct{ life *life }

var (
	_ policy.BatchLoader[string, int] = (*loader)(nil)
	_ policy.Refresher[string, int]   = (*loader)(nil)
)

// Every value has two tags: its key's, and one that all have.
const allTag = "all"

func tagOf(key int) string    { return "only " + itoa(key) }
func tagsOf(key int) []string { return []string{tagOf(key), allTag} }

func (it *item) allTags() bool { return it.Seed>>8%2 == 0 }

// Refresh implements policy.Refresher, which can tell of tags.
func (o *loader) Refresh(ctx context.Context, key string, _ *policy.Answer[int]) policy.Answer[int] {
	a, err := o.LoadMany(ctx, []string{key})
	if err != nil {
		return policy.Answer[int]{Err: err}
	}
	return a[0]
}

// Load looks at a moment within the time that it takes; then it may take longer.
func (o *loader) Load(ctx context.Context, key string) (int, error) {
	a, err := o.LoadMany(ctx, []string{key})
	if err != nil {
		return 0, err
	}
	return a[0].Value, a[0].Err
}

// LoadMany implements policy.BatchLoader.
func (o *loader) LoadMany(ctx context.Context, keys []string) ([]policy.Answer[int], error) {
	l, w := o.life, o.life.w
	salt, x := l.salt, execOf(ctx)
	if x != nil {
		salt = mix(salt, x.it.Seed)
	}
	for _, k := range keys {
		salt ^= mix(l.salt, xxh3.HashString(k)) // whatever the order of the keys, which may be that of a map
	}
	if err := l.hold(); err != nil {
		return nil, err
	}
	sleep(ctx, w.usual(ms(1), ms(12), salt))
	answers := make([]policy.Answer[int], len(keys))
	w.mu.Lock()
	for i, k := range keys {
		v := w.source.now[indexOf(k)]
		answers[i] = policy.Answer[int]{Value: v.number, Tags: tagsOf(indexOf(k))}
		if v.absent {
			answers[i].Value, answers[i].Err = 0, policy.ErrNotFound
		}
		w.logLocked("N%d loads k%d: v%d", l.node.id, indexOf(k), v.number)
	}
	w.mu.Unlock()
	more := w.usual(ms(1), ms(8), mix(salt, 1))
	if x != nil {
		more += x.it.SlowLoad
	}
	sleep(ctx, more)
	if err := l.hold(); err != nil {
		return nil, err
	}
	return answers, ctx.Err()
}

// usual is how long something takes: a drawn time, or in scripts that are exact the least, and a moment so that no two are the
// same.
func (w *world) usual(from, to time.Duration, salt uint64) time.Duration {
	if w.script.Exact {
		to = from + time.Microsecond
	}
	return w.between(from, to, salt)
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
