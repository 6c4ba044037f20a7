package tier_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// One node, one call after the other: whatever tiers there are, and whatever their options, a cache answers as a plain map with
// TTLs before the source does, to the call and the millisecond.
func TestACacheIsAMapWithTTLs(t *testing.T) {
	t.Parallel()
	for _, tiers := range []string{"local", "remote", "both", "both and a bus", "remote and a bus"} {
		t.Run(tiers, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				setup := drawModelSetup(rt, tiers)
				steps := rapid.SliceOfN(rapid.Custom(drawModelStep), 1, 60).Draw(rt, "steps")
				var failed error
				synctest.Test(t, func(*testing.T) { failed = setup.play(steps) })
				if failed != nil {
					rt.Fatalf("%+v: %v", setup, failed)
				}
			})
		})
	}
}

type modelSetup struct {
	Tiers    string // which tiers there are
	Soft     time.Duration
	Negative time.Duration
	LocalTTL time.Duration
	Clone    bool
}

func drawModelSetup(rt *rapid.T, tiers string) modelSetup {
	return modelSetup{
		Tiers:    tiers,
		Soft:     rapid.SampledFrom([]time.Duration{0, 1205 * time.Millisecond}).Draw(rt, "soft TTL"),
		Negative: rapid.SampledFrom([]time.Duration{0, 805 * time.Millisecond}).Draw(rt, "negative TTL"),
		LocalTTL: rapid.SampledFrom([]time.Duration{0, 405 * time.Millisecond}).Draw(rt, "local TTL"),
		Clone:    rapid.Bool().Draw(rt, "clone"),
	}
}

// modelTTL is the TTL of all, and that of a Set with one of its own. Time passes in steps of 10 ms, and TTLs end between them.
const (
	modelTTL   = 3005 * time.Millisecond
	shorterTTL = 605 * time.Millisecond
)

// A modelStep is one call, or what happens to the source or the clock.
type modelStep struct {
	What  string
	Key   int
	Short bool          // with a TTL of its own
	Pass  time.Duration // before it
}

var modelSteps = []string{
	"get", "get", "get", "lookup", "peek", "contains", "get many", "get or load", "skip local", "set", "set", "set many", "invalidate",
	"delete", "expire", "clear", "source has", "source has", "source has not",
}

func drawModelStep(rt *rapid.T) modelStep {
	return modelStep{
		What:  rapid.SampledFrom(modelSteps).Draw(rt, "what"),
		Key:   rapid.IntRange(0, 2).Draw(rt, "key"),
		Short: rapid.Bool().Draw(rt, "short"),
		Pass:  10 * time.Millisecond * time.Duration(rapid.SampledFrom([]int{0, 0, 1, 25, 60, 100, 250}).Draw(rt, "pass")),
	}
}

// A held is what the model holds at a key.
type held struct {
	value    string
	negative bool
	expiry   time.Time
	soft     time.Time // zero: never
}

// A mapModel is a map with TTLs before a source.
type mapModel struct {
	modelSetup
	source map[int]string
	held   map[int]held
}

func (m *mapModel) live(k int) (held, bool) {
	h, ok := m.held[k]
	return h, ok && time.Now().Before(h.expiry)
}

func (h held) stale() bool { return !h.soft.IsZero() && !time.Now().Before(h.soft) }

// until is when something ends that lives so long. Where there is only the local tier, it has nowhere to come back from.
func (m *mapModel) until(ttl time.Duration) time.Time {
	if m.Tiers == "local" && m.LocalTTL > 0 {
		ttl = min(ttl, m.LocalTTL)
	}
	return time.Now().Add(ttl)
}

func (m *mapModel) put(k int, v string, ttl time.Duration) {
	h := held{value: v, expiry: m.until(ttl)}
	if m.Soft > 0 && m.Soft < ttl {
		h.soft = time.Now().Add(m.Soft)
	}
	m.held[k] = h
}

// load asks the source, or value, and keeps the answer.
func (m *mapModel) load(k int) held {
	delete(m.held, k)
	if v, ok := m.source[k]; ok {
		m.put(k, v, modelTTL)
		return m.held[k]
	}
	h := held{negative: true, expiry: m.until(m.Negative)}
	if m.Negative > 0 {
		m.held[k] = h
	}
	return h
}

// get is a read: a stale value is returned, and loaded anew behind.
func (m *mapModel) get(k int) held {
	h, ok := m.live(k)
	if !ok {
		return m.load(k)
	}
	if h.stale() {
		m.load(k)
	}
	return h
}

// play does the steps with a cache and with the model.
func (s modelSetup) play(steps []modelStep) (err error) {
	ctx := context.Background()
	m := &mapModel{modelSetup: s, source: map[int]string{0: "first"}, held: map[int]held{}}
	o := &tier.Options[int, string]{
		TTL: modelTTL, SoftTTL: s.Soft, NegativeTTL: s.Negative, LocalTTL: s.LocalTTL, LocalCost: 64 << 10,
		Policy: policy.CacheAside(policy.LoaderFunc[int, string](func(_ context.Context, k int) (string, error) {
			if v, ok := m.source[k]; ok {
				return v, nil
			}
			return "", policy.ErrNotFound
		})),
	}
	if s.Clone {
		o.Clone = func(v string) string { return v }
	}
	if s.Tiers != "local" {
		o.Remote = memory.New(nil)
		defer o.Remote.Close()
	}
	if s.Tiers == "remote" || s.Tiers == "remote and a bus" {
		o.LocalCost = -1
	}
	if s.Tiers == "both and a bus" || s.Tiers == "remote and a bus" {
		o.Bus = membus.Bus(membus.NewHub(), nil)
		defer o.Bus.Close()
	}
	c, err := tier.New("model", o)
	if err != nil {
		return err
	}
	defer c.Close()
	synctest.Wait() // trusted
	for i, step := range steps {
		time.Sleep(step.Pass)
		if err := step.do(ctx, c, m, fmt.Sprint("v", i)); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, step, err)
		}
		synctest.Wait() // for what is loaded behind
	}
	return nil
}

// do does one step with both and compares.
func (step modelStep) do(ctx context.Context, c *tier.Cache[int, string], m *mapModel, fresh string) error {
	k := step.Key
	ttl, options := modelTTL, []tier.Option(nil)
	if step.Short {
		ttl, options = shorterTTL, []tier.Option{tier.WithTTL(shorterTTL)}
	}
	same := func(got string, err error, want held) error {
		if want.negative && errors.Is(err, tier.ErrNotFound) || !want.negative && err == nil && got == want.value {
			return nil
		}
		return fmt.Errorf("got %q, %v, want %+v", got, err, want)
	}
	switch step.What {
	case "get":
		got, err := c.Get(ctx, k)
		return same(got, err, m.get(k))
	case "skip local":
		got, err := c.Get(ctx, k, tier.SkipLocalRead())
		if m.Tiers == "local" {
			return same(got, err, m.load(k)) // there is nothing else
		}
		return same(got, err, m.get(k))
	case "lookup":
		h, there := m.live(k)
		want := m.get(k)
		got, err := c.Lookup(ctx, k)
		if err == nil && there && got.Stale != h.stale() {
			return fmt.Errorf("got stale %t", got.Stale)
		}
		return same(got.Value, err, want)
	case "peek", "contains":
		h, there := m.live(k)
		if there && h.stale() {
			m.load(k)
		}
		got, ok, err := h.value, false, error(nil)
		if step.What == "peek" {
			got, ok, err = c.Peek(ctx, k)
		} else {
			ok, err = c.Contains(ctx, k)
		}
		if err != nil || ok != (there && !h.negative) || ok && got != h.value {
			return fmt.Errorf("got %q, %t, %v, want %+v, %t", got, ok, err, h, there)
		}
		return nil
	case "get many":
		keys := []int{k, (k + 1) % 3, k}
		want := []held{m.get(keys[0]), m.get(keys[1])}
		for i, e := range c.GetMany(ctx, keys) {
			if err := same(e.Value, e.Err, want[i%2]); err != nil {
				return err
			}
		}
		return nil
	case "get or load":
		h, there := m.live(k)
		got, err := c.GetOrLoad(ctx, k, func(context.Context, int) (string, error) { return fresh, nil })
		if !there || h.stale() {
			m.put(k, fresh, modelTTL)
		}
		if !there {
			h = m.held[k]
		}
		return same(got, err, h)
	case "set":
		m.put(k, fresh, ttl)
		return c.Set(ctx, k, fresh, options...)
	case "set many":
		m.put(k, fresh, ttl)
		m.put((k+1)%3, fresh, ttl)
		return c.SetMany(ctx, map[int]string{k: fresh, (k + 1) % 3: fresh}, options...)
	case "invalidate":
		delete(m.held, k)
		return c.Invalidate(ctx, k)
	case "delete":
		delete(m.source, k)
		delete(m.held, k)
		return c.Delete(ctx, k)
	case "expire":
		if h, ok := m.live(k); ok {
			h.soft = time.Now()
			m.held[k] = h
		}
		return c.Expire(ctx, k)
	case "clear":
		clear(m.held)
		return c.Clear(ctx)
	case "source has":
		m.source[k] = fresh
	case "source has not":
		delete(m.source, k)
	default:
		return fmt.Errorf("no step is called that, only %v", slices.Compact(slices.Sorted(slices.Values(modelSteps))))
	}
	return nil
}
