package integration_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// straddles is how many loads straddle an invalidation on each backend; STRATA_STRADDLES makes it more.
func straddles(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("STRATA_STRADDLES"))
	if os.Getenv("STRATA_STRADDLES") == "" {
		return 1000
	}
	must(t, err)
	return n
}

// A straddledPair is a backend with the bus on it.
type straddledPair struct {
	url func(t *testing.T) string
	bus func(store *backend.Store, name string) (*invalidation.Bus, error)
}

func straddledPairs() map[string]straddledPair {
	hub := membus.NewHub()
	return map[string]straddledPair{
		"memory": {
			func(*testing.T) string { return "memory://" },
			func(*backend.Store, string) (*invalidation.Bus, error) { return membus.Bus(hub, nil), nil },
		},
		"redis": {
			func(t *testing.T) string { return servertest.SharedRedis(t).URL() + "?timeout=10s" },
			func(store *backend.Store, name string) (*invalidation.Bus, error) {
				return redisbus.New(store, &redisbus.Options{Name: name})
			},
		},
		"memcached": {
			func(t *testing.T) string { return servertest.SharedMemcached(t).URL() + "?timeout=10s" },
			func(store *backend.Store, name string) (*invalidation.Bus, error) {
				return memcachedbus.New(store, &memcachedbus.Options{Name: name, Poll: 5 * time.Millisecond})
			},
		},
		"hazelcast": {
			func(t *testing.T) string { return servertest.SharedHazelcast(t).URL() + "&timeout=10s" },
			func(store *backend.Store, name string) (*invalidation.Bus, error) {
				return hazelcastbus.New(store, &hazelcastbus.Options{Name: name})
			},
		},
	}
}

func TestWhatWasLoadedBeforeAnInvalidationIsInNoTierAfterIt(t *testing.T) {
	t.Parallel()
	for name, pair := range straddledPairs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := straddles(t)
			old := straddle(t, pair, n)
			t.Logf("%d loads: %+v", n, old)
			if old.local > 0 || old.remote > 0 {
				t.Errorf("%d old values in the local tiers, %d in the remote tier", old.local, old.remote)
			}
		})
	}
}

// The test above finds old values in the remote tier without leases, and in the local tier without the check of epochs. Its parts run
// beside each other, and it beside no other test: it switches these off.
func TestWithoutItsMechanismALoadThatStraddlesAnInvalidationIsFoundAfterIt(t *testing.T) {
	for m, found := range map[weaken.Mechanism]func(leftovers) int{
		weaken.Lease:      func(old leftovers) int { return old.remote },
		weaken.EpochCheck: func(old leftovers) int { return old.local },
	} {
		t.Run(m.String(), func(t *testing.T) {
			t.Cleanup(weaken.Switch(m)) // when the parts have ended
			for name, pair := range straddledPairs() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					old := straddle(t, pair, 64)
					t.Logf("64 loads: %+v", old)
					if found(old) == 0 {
						t.Error("no old value")
					}
				})
			}
		})
	}
}

// A moment of a load, when the value that it will store is already decided.
type moment int

const (
	loaded moment = iota // by the source
	sent                 // to the remote tier
	stored               // there, and the reply is on its way
	moments
)

// slow is how long each moment of a load takes at most that waits for nothing.
const slow = 2 * time.Millisecond

// A race is a load of a key, and the change of that key within it. The load waits for the change at a moment of its own, or never.
type race struct {
	at      moment // moments for never
	reached func()
	begin   <-chan struct{} // closed by reached
	changed chan struct{}   // closed when the loading node has heard of it
}

func newRace(at moment) *race {
	begin := make(chan struct{})
	return &race{at: at, begin: begin, changed: make(chan struct{}), reached: sync.OnceFunc(func() { close(begin) })}
}

// pass is called by the load at each moment.
func (r *race) pass(m moment) {
	switch r.at {
	case m:
		r.reached()
		<-r.changed
	case moments:
		r.reached()
		time.Sleep(rand.N(slow))
	}
}

type raceKey struct{} // of the context of a load

// racing is a driver that takes part in the races of loads.
type racing struct{ driver.Driver }

func (d racing) Unwrap() driver.Driver { return d.Driver }

func (d racing) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	r, ok := ctx.Value(raceKey{}).(*race)
	if h, _, isRecord := record.Parse(ops[0].Record); !ok || !isRecord || h.Kind != record.Value {
		return d.Driver.Write(ctx, ops)
	}
	r.pass(sent)
	defer r.pass(stored)
	return d.Driver.Write(ctx, ops)
}

// leftovers are how many old values are found in each tier, and how many loads were refused.
type leftovers struct{ local, remote, refused int }

// straddle lets one node load each of n keys once while another changes and invalidates it, and returns what is left when the
// loading node has heard of that.
func straddle(t *testing.T, pair straddledPair, n int) (old leftovers) {
	t.Helper()
	store := openStore(t, pair.url(t))
	name := servertest.Key(t)
	open := func(store *backend.Store, load policy.LoaderFunc[int, int]) (*tier.Cache[int, int], *invalidation.Bus) {
		bus, err := pair.bus(store, name)
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		c, err := tier.New(name, &tier.Options[int, int]{
			Remote: store, Bus: bus, Policy: policy.CacheAside[int, int](load),
			MaxStaleness: 10 * time.Second, // a slow machine must not hide what is held
		})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		eventually(t, "both tiers are in use", func() bool {
			_, _, err := c.Peek(t.Context(), -1)
			return err == nil && c.Stats().Trusted
		})
		return c, bus
	}
	var source sync.Map // of versions by key
	look := func(_ context.Context, key int) (int, error) {
		v, _ := source.Load(key)
		return v.(int), nil
	}
	loader, hears := open(store.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return racing{d} }}),
		func(ctx context.Context, key int) (int, error) {
			defer ctx.Value(raceKey{}).(*race).pass(loaded)
			return look(ctx, key)
		})
	writer, _ := open(store, look)

	const together = 64 // not all, as an invalidation may kill what is held of other keys, too
	for first := 0; first < n; first += together {
		last := min(first+together, n)
		var round sync.WaitGroup
		for key := first; key < last; key++ {
			source.Store(key, 1)
			r := newRace(moment(key) % (moments + 1))
			round.Go(func() {
				defer r.reached() // in vain, if the load ended before that moment
				if _, err := loader.Get(context.WithValue(t.Context(), raceKey{}, r), key); err != nil {
					t.Errorf("Get: %v", err)
				}
			})
			round.Go(func() {
				defer close(r.changed)
				<-r.begin
				source.Store(key, 2)
				if r.at == moments {
					time.Sleep(rand.N(time.Duration(moments) * slow))
				}
				if err := writer.Invalidate(t.Context(), key); err != nil {
					t.Errorf("Invalidate: %v", err)
				}
				if err := hears.Ping(t.Context()); err != nil { // comes back after all announcements
					t.Errorf("Ping: %v", err)
				}
			})
		}
		round.Wait()
		for key := first; key < last; key++ {
			for _, c := range []*tier.Cache[int, int]{loader, writer} {
				v, ok, err := c.Peek(t.Context(), key, tier.SkipRemoteRead())
				must(t, err)
				if ok && v != 2 {
					old.local++
				}
			}
			v, ok, err := writer.Peek(t.Context(), key, tier.SkipLocalRead())
			must(t, err)
			if ok && v != 2 {
				old.remote++
			}
		}
	}
	old.refused = int(loader.Stats().RefusedFills)
	return old
}
