package tier_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// awhile is long enough in a bubble for a node to be trusted, and ends when no comparison begins.
const awhile = time.Minute + 7*time.Millisecond

// sampled is a node that compares 100 values a second, and holds key 1. Its bus is heard by no other.
func sampled(t *testing.T, do func(t *testing.T, env *tiertest.Env, c *cache, events *atomic.Pointer[tier.Event])) {
	synctest.Test(t, func(t *testing.T) {
		env, events := tiertest.New(t), new(atomic.Pointer[tier.Event])
		c := tiertest.Node(t, env, "test", &options{
			Policy: aside(sourceOf(map[int]string{1: "old"})), MaxStaleness: 2 * time.Second, StaleSample: 100,
			OnEvent: func(e tier.Event) {
				if e.Kind == tier.EventStale {
					events.Store(&e)
				}
			},
		})
		time.Sleep(awhile)
		want(t, c, 1, "old")
		do(t, env, c, events)
	})
}

const keyOf1 = "test/1/{1}"

func recordOf(kind record.Kind, body string) []byte {
	return record.New(record.Header{Kind: kind, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte(body))
}

// put replaces what is stored at key 1.
func put(t *testing.T, store *backend.Store, r []byte) {
	t.Helper()
	for _, step := range []record.Step{{Verb: record.Delete}, {Verb: record.Add, Record: r, TTL: time.Hour}} {
		if e := store.Write(t.Context(), driver.Op{Key: keyOf1, Step: step})[0]; e.Outcome != driver.Done {
			t.Fatalf("%v: %+v", step.Verb, e)
		}
	}
}

func TestWhatTheRemoteTierHasSaysHowStaleALocalValueIs(t *testing.T) {
	t.Parallel()
	outside := func(t *testing.T, env *tiertest.Env, s *tiertest.Source[int, string]) *cache {
		return open(t, &options{Remote: env.Store, Policy: aside(s), NegativeTTL: time.Minute})
	}
	const all, none = true, false
	for name, c := range map[string]struct {
		change                   func(t *testing.T, env *tiertest.Env)
		stale, undecided, failed bool
	}{
		"nothing has changed": {func(*testing.T, *tiertest.Env) {}, none, none, none},
		"another value": {func(t *testing.T, env *tiertest.Env) {
			must(t, outside(t, env, sourceOf(nil)).Set(t.Context(), 1, "new"))
		}, all, none, none},
		"the same value, stored again": {func(t *testing.T, env *tiertest.Env) {
			must(t, outside(t, env, sourceOf(nil)).Set(t.Context(), 1, "old"))
		}, none, none, none},
		"an answer that there is none": {func(t *testing.T, env *tiertest.Env) {
			o := outside(t, env, sourceOf(nil))
			must(t, o.Invalidate(t.Context(), 1))
			_, err := o.Get(t.Context(), 1)
			wantErr(t, err, tier.ErrNotFound)
		}, all, none, none},
		"nothing": {func(t *testing.T, env *tiertest.Env) {
			must(t, outside(t, env, sourceOf(nil)).Invalidate(t.Context(), 1))
		}, none, all, none},
		"a lease": {func(t *testing.T, env *tiertest.Env) { put(t, env.Store, recordOf(record.Lease, "")) }, none, all, none},
		"a fence": {func(t *testing.T, env *tiertest.Env) {
			_, err := outside(t, env, sourceOf(nil)).BeginWrite(t.Context(), 1)
			must(t, err)
		}, none, all, none},
		"what cannot be read": {func(t *testing.T, env *tiertest.Env) { put(t, env.Store, recordOf(record.Value, "rubbish")) }, none, all, none},
		"an outage":           {func(_ *testing.T, env *tiertest.Env) { env.Remote.Down() }, none, all, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sampled(t, func(t *testing.T, env *tiertest.Env, reader *cache, events *atomic.Pointer[tier.Event]) {
				before := reader.Stats().Staleness
				began := time.Now()
				c.change(t, env)
				time.Sleep(3 * time.Second) // of the bubble
				synctest.Wait()
				waited := time.Since(began)
				s := reader.Stats().Staleness
				n := s.Compared - before.Compared
				if n == 0 {
					t.Fatal("nothing was compared")
				}
				for what, x := range map[string]struct {
					got uint64
					all bool
				}{"stale": {s.Stale, c.stale}, "undecided": {s.Undecided, c.undecided}, "failed": {s.Failed, c.failed}} {
					if x.all && x.got != n || !x.all && x.got != 0 {
						t.Errorf("of %d comparisons %d were %s", n, x.got, what)
					}
				}
				sum, counted := time.Duration(0), uint64(0)
				for i, b := range s.Buckets {
					counted += b.Count
					if i > 0 && b.Count > 0 {
						sum += time.Duration(b.Count) * s.Buckets[i-1].AtMost
					}
				}
				if counted != s.Stale || sum > s.Sum {
					t.Errorf("the histogram has %d of %d, and at least %v of %v: %+v", counted, s.Stale, sum, s.Sum, s.Buckets)
				}
				e := events.Load()
				if !c.stale {
					if e != nil || s.Oldest != 0 {
						t.Errorf("told of %v; the oldest was %v", e, s.Oldest)
					}
					return
				}
				if s.Oldest > waited || s.Oldest < waited-time.Second {
					t.Errorf("the oldest was %v after %v", s.Oldest, waited)
				}
				if e == nil || e.Key != keyOf1 || !strings.Contains(e.Err.Error(), "replaced in the remote tier 2.") {
					t.Errorf("told of %+v", e)
				}
			})
		})
	}
}

// Nothing was replaced before the local value was read, whatever the clocks of nodes say.
func TestAWrongClockMakesNothingStalerThanItsRead(t *testing.T) {
	t.Parallel()
	sampled(t, func(t *testing.T, env *tiertest.Env, reader *cache, _ *atomic.Pointer[tier.Event]) {
		must(t, open(t, &options{Remote: env.Store, TTL: time.Hour}).Set(t.Context(), 1, "new"))
		slow := env.Store.Get(t.Context(), keyOf1)[0].Record
		must(t, reader.Invalidate(t.Context(), 1))
		time.Sleep(5 * time.Minute) // of the bubble
		want(t, reader, 1, "old")
		put(t, env.Store, slow)
		time.Sleep(3 * time.Second) // of the bubble
		if s := reader.Stats().Staleness; s.Stale == 0 || s.Oldest > 3*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// What became invalid while the remote tier was asked is not served, so it is not stale.
func TestWhatIsInvalidatedWhileItIsComparedIsNotStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		remote, store := newHooked(t)
		env := tiertest.New(t)
		s := sourceOf(map[int]string{1: "old"})
		var armed atomic.Bool
		var asked atomic.Int64
		var c *cache
		remote.afterGet = func([]string, []driver.Result) { // before there is a detector that calls it
			if armed.Load() && asked.Add(1) == 1 {
				must(t, c.Invalidate(context.Background(), 1))
			}
		}
		c = tiertest.Node(t, env, "test", &options{Remote: store, Policy: aside(s), StaleSample: 10})
		time.Sleep(awhile)
		want(t, c, 1, "old")
		compared := c.Stats().Staleness.Compared
		must(t, open(t, &options{Remote: store}).Set(t.Context(), 1, "new"))
		armed.Store(true)
		time.Sleep(10 * time.Second) // of the bubble
		synctest.Wait()
		if s := c.Stats().Staleness; asked.Load() == 0 || s.Stale != 0 || s.Compared != compared {
			t.Errorf("asked %d times: %+v", asked.Load(), s)
		}
	})
}

// versions is a source that says which version each answer is.
type versions struct{ n atomic.Uint64 }

func (v *versions) Load(ctx context.Context, k int) (string, error) {
	a := v.Refresh(ctx, k, nil)
	return a.Value, a.Err
}

func (v *versions) Refresh(context.Context, int, *policy.Answer[string]) policy.Answer[string] {
	return policy.Answer[string]{Value: string('a' + rune(v.n.Load())), Version: v.n.Load()}
}

func TestAnEarlierVersionOfTheSourceMakesNothingStale(t *testing.T) {
	t.Parallel()
	for now, stale := range map[uint64]bool{4: false, 5: false, 6: true} {
		synctest.Test(t, func(t *testing.T) {
			env, s := tiertest.New(t), new(versions)
			s.n.Store(5)
			o := options{Policy: policy.CacheAside[int, string](s), StaleSample: 10}
			c := tiertest.Node(t, env, "test", &o)
			time.Sleep(awhile)
			want(t, c, 1, "f")
			o.Remote = env.Store
			other := open(t, &o)
			must(t, other.Invalidate(t.Context(), 1))
			s.n.Store(now)
			want(t, other, 1, string('a'+rune(now)))
			time.Sleep(5 * time.Second) // of the bubble
			synctest.Wait()
			if s := c.Stats().Staleness; s.Compared == 0 || s.Undecided != 0 || s.Stale > 0 != stale {
				t.Errorf("version 5 here and %d there: %+v", now, s)
			}
		})
	}
}

// noisy is a codec that writes the same value in different ways, and keeps no capitals.
type noisy struct {
	codec.Codec[string]
	n *atomic.Uint32
}

func (c noisy) Append(dst []byte, v string) ([]byte, error) {
	return c.Codec.Append(append(dst, byte(c.n.Add(1))), v)
}

func (c noisy) Decode(b []byte) (string, error) {
	v, err := c.Codec.Decode(b[1:])
	return strings.ToLower(v), err
}

// Values are compared as the codec has them, not as the source gave them, nor by what it writes.
func TestAValueIsComparedAsItIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		o := options{StaleSample: 10, Codec: noisy{codec.String(), new(atomic.Uint32)}, Policy: aside(sourceOf(map[int]string{1: "Value"}))}
		c := tiertest.Node(t, env, "test", &o)
		time.Sleep(awhile)
		want(t, c, 1, "Value")
		o.Remote = env.Store
		other := open(t, &o)
		must(t, other.Invalidate(t.Context(), 1))
		want(t, other, 1, "Value")
		time.Sleep(10 * time.Second) // of the bubble
		synctest.Wait()
		if s := c.Stats().Staleness; s.Compared == 0 || s.Stale != 0 || s.Undecided != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Not parallel: the switches are the process's. What the bus lost for good is what the detector is for.
func TestABrokenPromiseIsSeen(t *testing.T) {
	for _, broken := range []bool{false, true} {
		func() {
			if broken {
				defer weaken.Switch(weaken.Replay)()
			}
			var events atomic.Int64
			s := sourceOf(map[int]string{1: "old"})
			bubble(t, options{Policy: aside(s), MaxStaleness: time.Second, StaleSample: 10, OnEvent: func(e tier.Event) {
				if e.Kind == tier.EventStale {
					events.Add(1)
				}
			}}, func(t *testing.T, env *tiertest.Env, a, b *cache) {
				want(t, b, 1, "old")
				env.Hub.Drop(1)
				s.Put(1, "new")
				must(t, a.Invalidate(t.Context(), 1))
				want(t, a, 1, "new")
				time.Sleep(10 * time.Second) // of the bubble
				if st := b.Stats().Staleness; (events.Load() > 0) != broken || (st.Oldest > time.Second) != broken {
					t.Errorf("broken %t: %d events, %+v", broken, events.Load(), st)
				}
			})
		}()
	}
}

// Whatever two nodes do, at rest no value is stale.
func TestNothingIsStaleWhereNodesAreCoherent(t *testing.T) {
	t.Parallel()
	s := sourceOf(nil)
	bubble(t, options{Policy: aside(s), SoftTTL: time.Second, StaleSample: 1000}, func(t *testing.T, _ *tiertest.Env, a, b *cache) {
		nodes := []*cache{a, b}
		for i := range 300 {
			k, v := i*7%20, string(rune('a'+i%26))
			s.Put(k, v)
			if c := nodes[i/3%2]; i%2 == 0 {
				must(t, c.Invalidate(t.Context(), k))
			} else {
				must(t, c.Set(t.Context(), k, v))
			}
			synctest.Wait() // it is heard
			for _, c := range nodes {
				want(t, c, k, v)
			}
			time.Sleep(11 * time.Millisecond) // of the bubble
		}
		for _, c := range nodes {
			if s := c.Stats().Staleness; s.Compared < 500 || s.Stale != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestNothingIsComparedUnlessItIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		for _, o := range []options{
			{Remote: env.Store, MaxStaleness: time.Hour},
			{StaleSample: 100}, // no remote tier
			{Remote: env.Store, LocalCost: -1, StaleSample: 100},
		} {
			c := open(t, &o)
			must(t, c.Set(t.Context(), 1, "v"))
			before := env.Remote.Reads()
			time.Sleep(awhile)
			if s := c.Stats().Staleness; s.Compared != 0 || env.Remote.Reads() != before {
				t.Errorf("%+v, and %d reads", s, env.Remote.Reads()-before)
			}
		}
	})
}

// A panic of what the application wrote ends no process, and no detector.
func TestAPanicOfAKeyEndsNoDetector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		var bad atomic.Bool
		var events atomic.Int64
		c := tiertest.Node(t, env, "test", &options{
			StaleSample: 10, OnEvent: func(tier.Event) { events.Add(1) },
			Key: func(int) string {
				if bad.Load() {
					panic("key")
				}
				return "1"
			},
		})
		time.Sleep(awhile)
		must(t, c.Set(t.Context(), 1, "v"))
		events.Store(0)
		bad.Store(true)
		time.Sleep(10 * time.Second) // of the bubble
		bad.Store(false)
		time.Sleep(awhile)
		if events.Load() == 0 || c.Stats().Staleness.Compared == 0 {
			t.Errorf("%d events, %+v", events.Load(), c.Stats().Staleness)
		}
	})
}
