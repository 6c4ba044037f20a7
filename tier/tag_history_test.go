package tier_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

const tagBound = 2 * time.Second

// A tagWorld is nodes over one source with slow loads, invalidations by tag and Clear only, and what may befall the record of markers,
// the bus and the remote tier. Each value is a version, and each read is judged: it must not be older than what was acknowledged
// more than tagBound before it began, or at all on its own node.
type tagWorld struct {
	t   *testing.T
	env *tiertest.Env
	r   *dice

	mu       sync.Mutex
	versions [9]int // of the source; guarded by mu, as all below
	acked    []ack
	wrong    []string
	nodes    []*numbers
	heard    []*numbers // those with a bus: what another invalidates nobody is told
	work     sync.WaitGroup
}

type numbers = tier.Cache[int, int]

// dice are thrown by the history and by the loads in it.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand // guarded by mu
}

func (d *dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

type ack struct {
	key, version int
	node         *numbers
	at           time.Time
}

// Refresh reads the version and brings it some time later.
func (w *tagWorld) Refresh(ctx context.Context, k int, _ *policy.Answer[int]) policy.Answer[int] {
	w.mu.Lock()
	v, slow := w.versions[k], time.Duration(0)
	if w.r.IntN(3) == 0 {
		slow = time.Duration(w.r.IntN(4000)) * time.Millisecond
	}
	w.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return policy.Answer[int]{Err: ctx.Err()}
	}
	return policy.Answer[int]{Value: v, Tags: tagsOf(k)}
}

func (w *tagWorld) Load(ctx context.Context, k int) (int, error) { panic("not called") }

func (w *tagWorld) node(bus bool) {
	o := &tier.Options[int, int]{MaxStaleness: tagBound, SoftTTL: 20 * time.Second, TTL: time.Hour, Policy: policy.CacheAside[int, int](w)}
	var c *numbers
	if bus {
		c = tiertest.Node(w.t, w.env, "c", o)
	} else {
		var err error
		o.Remote = w.env.Store
		if c, err = tier.New("c", o); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { c.Close() })
	}
	w.nodes = append(w.nodes, c)
	if bus {
		w.heard = append(w.heard, c)
	}
}

// change writes the source at all keys of a tag, or at all, and invalidates them until that is acknowledged.
func (w *tagWorld) change(c *numbers, tag string, do func(context.Context) error) {
	w.mu.Lock()
	var changed []ack
	for k := range w.versions {
		if tag == "" || slices.Contains(tagsOf(k), tag) {
			w.versions[k]++
			changed = append(changed, ack{key: k, version: w.versions[k], node: c})
		}
	}
	w.mu.Unlock()
	w.work.Go(func() {
		for err := do(w.t.Context()); err != nil; err = do(w.t.Context()) {
			time.Sleep(100 * time.Millisecond)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range changed {
			changed[i].at = time.Now()
		}
		w.acked = append(w.acked, changed...)
	})
}

func (w *tagWorld) read(c *numbers, k int) {
	w.mu.Lock()
	began := time.Now()
	least := 0
	for _, a := range w.acked {
		if a.key == k && (a.node == c || began.Sub(a.at) > tagBound) {
			least = max(least, a.version)
		}
	}
	w.mu.Unlock()
	w.work.Go(func() {
		r, err := c.Lookup(w.t.Context(), k)
		if err == nil && r.Value < least {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wrong = append(w.wrong, fmt.Sprintf("key %d is %d from %v, at least %d was acknowledged", k, r.Value, r.Tier, least))
		}
	})
}

// run runs one history, and returns what was wrong.
func (w *tagWorld) run() []string {
	w.node(true)
	w.node(true)
	w.node(false)
	for range 400 {
		c, k := w.nodes[w.r.IntN(len(w.nodes))], w.r.IntN(9)
		switch n := w.r.IntN(100); {
		case n < 70:
			w.read(c, k)
		case n < 78:
			c := w.heard[w.r.IntN(len(w.heard))]
			tag := []string{"odd", "pair"}[w.r.IntN(2)]
			w.change(c, tag, func(ctx context.Context) error { return c.InvalidateTag(ctx, tag) })
		case n < 80:
			c := w.heard[w.r.IntN(len(w.heard))]
			w.change(c, "", c.Clear)
		case n < 82: // eviction
			w.env.Store.Write(w.t.Context(), driver.Op{Key: markersKey, Step: record.Step{Verb: record.Delete}})
		case n < 83 && len(w.nodes) < 6:
			w.node(w.r.IntN(3) > 0)
		case n < 84:
			w.env.Hub.Drop(1 + w.r.IntN(5))
		case n < 85:
			w.env.Hub.Cut()
		case n < 86:
			w.env.Hub.Restart()
		case n < 88:
			w.env.Remote.Down()
			time.Sleep(time.Duration(w.r.IntN(3000)) * time.Millisecond)
			w.env.Remote.Up()
		default:
			time.Sleep(time.Duration(w.r.IntN(1500)) * time.Millisecond)
		}
		if w.r.IntN(4) == 0 {
			synctest.Wait()
		}
	}
	w.work.Wait()
	time.Sleep(time.Minute) // repairs end
	for _, c := range w.nodes {
		for k := range 9 {
			w.read(c, k)
		}
	}
	w.work.Wait()
	return w.wrong
}

func tagHistory(t *testing.T, seed uint64) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		w := &tagWorld{t: t, env: tiertest.New(t), r: &dice{r: rand.New(rand.NewPCG(seed, 0))}}
		wrong = w.run()
	})
	return wrong
}

func TestRandomHistoriesOfTags(t *testing.T) {
	t.Parallel()
	for range 12 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			for _, what := range tagHistory(t, seed) {
				t.Error(what)
			}
		})
	}
}

func TestWithoutStampsRandomHistoriesOfTagsGoWrong(t *testing.T) { // not parallel: the switches are the process's
	for _, m := range []weaken.Mechanism{weaken.TagPosition, weaken.TagIncarnation} {
		t.Run(m.String(), func(t *testing.T) {
			defer weaken.Switch(m)()
			for seed := range uint64(40) {
				if wrong := tagHistory(t, seed); len(wrong) > 0 {
					t.Logf("seed %d: %s", seed, wrong[0])
					return
				}
			}
			t.Error("nothing is wrong, so the histories prove nothing")
		})
	}
}
