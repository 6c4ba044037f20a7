package tier_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/weaken"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A shelf is a source whose values have tags: key k has tagsOf(k).
type shelf struct{ *tiertest.Source[int, string] }

// tagsOf gives every third key none, and the others one or two.
func tagsOf(k int) []string {
	return [][]string{nil, {"odd"}, {"odd", "pair"}}[k%3]
}

func (s shelf) Refresh(ctx context.Context, k int, _ *policy.Answer[string]) policy.Answer[string] {
	v, err := s.Load(ctx, k)
	return policy.Answer[string]{Value: v, Err: err, Tags: tagsOf(k)}
}

func (s shelf) LoadMany(ctx context.Context, keys []int) ([]policy.Answer[string], error) {
	answers, err := s.Source.LoadMany(ctx, keys)
	for i := range answers {
		answers[i].Tags = tagsOf(keys[i])
	}
	return answers, err
}

const markersKey = "c/1/markers"

// fleet runs do in a bubble with two nodes a and b that share everything, and of which the source has keys 0 to 8 as "old".
type fleet struct {
	*testing.T
	env    *tiertest.Env
	source shelf
	a, b   *cache
	opts   options
}

func inFleet(t *testing.T, o options, do func(t *testing.T, f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{tiertest.NewSource[int, string]()}
		for k := range 9 {
			s.Put(k, "old")
		}
		o.Policy = policy.CacheAside[int, string](s)
		f := &fleet{T: t, env: tiertest.New(t), source: s, opts: o}
		f.a, f.b = f.node(), f.node()
		do(t, f)
	})
}

// node starts another node, and lets it be trusted.
func (f *fleet) node() *cache {
	c := tiertest.Node(f.T, f.env, "c", &f.opts)
	f.rest(time.Second)
	return c
}

func (f *fleet) rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *fleet) want(c *cache, k int, v string) {
	f.Helper()
	if got, err := c.Get(f.Context(), k); got != v || err != nil {
		f.Errorf("Get(%d) = %q, %v, want %q", k, got, err, v)
	}
}

// from tells which tier c has k in.
func (f *fleet) from(c *cache, k int) tier.Tier {
	f.Helper()
	r, err := c.Lookup(f.Context(), k)
	if err != nil {
		f.Error(err)
	}
	return r.Tier
}

// warm makes both nodes hold all keys.
func (f *fleet) warm() {
	for k := range 9 {
		f.want(f.a, k, "old")
		f.want(f.b, k, "old")
	}
}

func (f *fleet) change(keys ...int) {
	for _, k := range keys {
		f.source.Put(k, "new")
	}
}

// lose takes the record of markers away, as an eviction does.
func (f *fleet) lose() {
	f.Helper()
	if e := f.env.Store.Write(f.Context(), driver.Op{Key: markersKey, Step: record.Step{Verb: record.Delete}})[0]; e.Outcome != driver.Done {
		f.Error(e.Err)
	}
}

func TestATagKillsItsValuesEverywhereAndNoOthers(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(0, 1, 2)
		must(t, f.a.InvalidateTag(t.Context(), "pair"))
		f.rest(0)
		loads := f.source.Loads()
		for _, c := range []*cache{f.a, f.b, f.node()} {
			f.want(c, 2, "new")
			f.want(c, 5, "old") // its tag too, and it did not change
			f.want(c, 1, "old") // another tag
			f.want(c, 0, "old") // none
		}
		if n := f.source.Loads() - loads; n != 2 {
			t.Errorf("%d loads of the source, want 2", n)
		}
		if f.from(f.b, 1) != tier.Local || f.from(f.b, 0) != tier.Local {
			t.Error("what does not have the tag left the local tier")
		}
		must(t, f.b.InvalidateTag(t.Context(), "nobody has it", "odd"))
		f.rest(0)
		for _, e := range f.a.GetMany(t.Context(), []int{0, 1, 2}) {
			if want := map[bool]string{true: "new", false: "old"}[e.Tier != tier.Local]; e.Value != want || e.Err != nil {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestAnInvalidationByTagCostsTheSameForAnyNumberOfValues(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		for name, do := range map[string]func(context.Context) error{
			"tags":  func(ctx context.Context) error { return f.a.InvalidateTag(ctx, "odd", "pair", "third") },
			"clear": f.a.Clear,
		} {
			f.warm()
			reads, writes := f.env.Remote.Reads(), f.env.Remote.Writes()
			must(t, do(t.Context()))
			f.rest(0)
			if r, w := f.env.Remote.Reads()-reads, f.env.Remote.Writes()-writes; r != 1 || w != 1 {
				t.Errorf("%s: %d reads and %d writes of the remote tier, want 1 and 1", name, r, w)
			}
		}
		before := f.env.Remote.Reads()
		f.want(f.b, 2, "old")
		if n := f.env.Remote.Reads() - before; n != 1 {
			t.Errorf("the read that finds a value dead took %d round trips", n)
		}
	})
}

func TestClearKillsEverythingOnEveryBackend(t *testing.T) {
	t.Parallel()
	for name, loose := range map[string]func(d driver.Driver) driver.Driver{
		"that can list its keys": func(d driver.Driver) driver.Driver { return d },
		"that cannot":            func(d driver.Driver) driver.Driver { return unlisted{d} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFleet(t, options{}, func(t *testing.T, f *fleet) {
				f.opts.Remote = f.env.Store.With(&backend.Options{Decorate: loose})
				a, b := f.node(), f.node()
				f.want(a, 0, "old")
				f.want(b, 0, "old")
				f.change(0)
				must(t, a.Clear(t.Context()))
				f.rest(0)
				f.want(b, 0, "new")
				f.want(a, 0, "new")
				f.want(f.node(), 0, "new")
				err := a.InvalidatePrefix(t.Context(), "1")
				if name == "that cannot" && (!errors.Is(err, tier.ErrUnsupported) || !strings.Contains(err.Error(), "InvalidateTag")) {
					t.Errorf("InvalidatePrefix: %v", err)
				}
			})
		})
	}
}

// unlisted is a driver that cannot list its keys.
type unlisted struct{ driver.Driver }

func TestAPrefixTakesOutTheKeysThatBeginWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		long := strings.Repeat("long", 200)
		s := tiertest.NewSource[string, string]()
		keys := []string{"user:1:name", "user:1:mail", "user:2:name", "user:1:" + long, "us{e}r:%", "else"}
		for _, k := range keys {
			s.Put(k, "old")
		}
		var nodes []*tier.Cache[string, string]
		for range 2 {
			nodes = append(nodes, tiertest.Node(t, env, "c", &tier.Options[string, string]{Policy: policy.CacheAside(s)}))
		}
		time.Sleep(time.Second) // of the bubble
		get := func(k, want string) {
			t.Helper()
			for _, c := range nodes {
				if v, err := c.Get(t.Context(), k); v != want || err != nil {
					t.Errorf("Get(%.20q) = %q, %v, want %q", k, v, err, want)
				}
			}
		}
		for _, k := range keys {
			get(k, "old")
			s.Put(k, "new")
		}
		must(t, nodes[0].InvalidatePrefix(t.Context(), "user:1:"))
		must(t, nodes[0].InvalidatePrefix(t.Context(), "us{e"))
		synctest.Wait()
		for i, want := range []string{"new", "new", "old", "new", "new", "old"} {
			get(keys[i], want)
		}
	})
}

// Late load: what was read before an invalidation by tag, and is stored after it, is dead.
func lateLoad(t *testing.T) (got string) {
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		c, err := tier.New("c", &options{Remote: f.env.Store, Policy: f.opts.Policy, MaxStaleness: time.Second})
		must(t, err)
		defer c.Close()
		f.want(c, 0, "old")
		release := f.source.Block()
		loaded := getBehind(t, c)
		must(t, f.source.AwaitLoads(t.Context(), 2))
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(2 * time.Second)
		if _, _, err := c.Peek(t.Context(), 0); err != nil { // by which it learns of the invalidation
			t.Error(err)
		}
		release()
		<-loaded
		f.rest(0)
		got, _ = f.b.Get(t.Context(), 1)
	})
	return got
}

func TestALateLoadIsDeadByItsTag(t *testing.T) {
	if got := lateLoad(t); got != "new" {
		t.Errorf("read %q", got)
	}
	defer weaken.Switch(weaken.TagPosition)()
	if got := lateLoad(t); got != "old" {
		t.Errorf("with the stamp from when the value is stored, read %q", got)
	}
}

// Lost markers: the record is evicted, and a node that knows nothing begins it anew.
func lostMarkers(t *testing.T) (got string) {
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		must(t, f.a.Close())
		must(t, f.b.Close())
		f.lose()
		got, _ = f.node().Get(t.Context(), 1)
	})
	return got
}

func TestLostMarkersBringNothingBack(t *testing.T) {
	if got := lostMarkers(t); got != "new" {
		t.Errorf("read %q", got)
	}
	defer weaken.Switch(weaken.TagIncarnation)()
	if got := lostMarkers(t); got != "old" {
		t.Errorf("with the stamps of another incarnation in use, read %q", got)
	}
}

func TestAClearIsNotForgottenWithItsMarker(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(0)
		must(t, f.a.Clear(t.Context()))
		must(t, f.a.Close())
		must(t, f.b.Close())
		f.lose()
		f.want(f.node(), 0, "new")
	})
}

func TestANodeThatKnowsTheMarkersPutsThemBack(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.lose()
		f.rest(time.Minute)
		if _, _, err := f.b.Peek(t.Context(), 99); err != nil { // looks after the record
			t.Error(err)
		}
		loads := f.source.Loads()
		c := f.node()
		f.want(c, 0, "old")
		f.want(c, 1, "new")
		if n := f.source.Loads() - loads; n != 1 {
			t.Errorf("%d loads, want that of the key which was invalidated", n)
		}
		must(t, f.a.InvalidateTag(t.Context(), "odd")) // its own copy is from before
		f.source.Put(1, "newer")
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.want(c, 1, "newer")
	})
}

// A node that restores the record includes what it heard of since it last read it.
func TestRestoredMarkersHaveWhatWasOnlyHeard(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(0, 1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		must(t, f.a.Close())
		f.rest(0)
		f.lose() // before b has read it
		if _, _, err := f.b.Peek(t.Context(), 99); err != nil {
			t.Error(err)
		}
		c := f.node()
		f.want(c, 1, "new")
		f.want(c, 0, "old")
	})
}

// The record is lost between the swap and the announcement, and restored by a node that could not have heard of it yet.
func TestAMarkerThatIsLostBeforeItIsAnnouncedIsLeftAgain(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		m := &between{Remote: f.env.Remote}
		f.opts.Remote = backend.New(m)
		writer := f.node()
		f.want(writer, 0, "old")
		f.change(1)
		m.step = func(point string) {
			if point == "after the swap" {
				m.step = nil
				f.lose()
				f.rest(time.Minute)
				if _, _, err := f.b.Peek(t.Context(), 99); err != nil { // puts it back
					t.Error(err)
				}
			}
		}
		must(t, writer.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		for _, c := range []*cache{f.b, writer, f.a, f.node()} {
			f.want(c, 1, "new")
			f.want(c, 0, "old")
		}
		if m.step != nil {
			t.Error("no such point")
		}
	})
}

// A server that comes back with an older record of markers is not believed by those who know better.
func TestMarkersThatWentBackInTimeAreNotBelieved(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		keys := []string{markersKey, "c/1/{1}"}
		before := f.env.Store.Get(t.Context(), keys...)
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.want(f.b, 1, "new")
		for i, k := range keys {
			now := f.env.Store.Get(t.Context(), k)[0].Record
			step := record.Step{Verb: record.Swap, Expect: record.TokenOf(now), Record: before[i].Record, TTL: time.Hour}
			if e := f.env.Store.Write(t.Context(), driver.Op{Key: k, Step: step})[0]; e.Outcome != driver.Done {
				t.Fatal(e)
			}
		}
		f.rest(time.Minute)
		if _, _, err := f.b.Peek(t.Context(), 99); err != nil { // sees it
			t.Error(err)
		}
		f.want(f.node(), 1, "new")
	})
}

func TestARestartOfTheBusKillsNothingAndBringsNothingBack(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		f.change(1)
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.env.Hub.Restart() // and counts from zero
		f.rest(time.Second)
		loads := f.source.Loads()
		for _, c := range []*cache{f.a, f.b, f.node()} {
			f.want(c, 0, "old")
			f.want(c, 1, "new")
		}
		if n := f.source.Loads() - loads; n != 1 {
			t.Errorf("%d loads, want that of the key which was invalidated", n)
		}
		f.source.Put(1, "newer")
		must(t, f.b.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.want(f.a, 1, "newer")
	})
}

// between tells of each remote step of one invalidation, before and after it.
type between struct {
	*tiertest.Remote
	step func(point string)
}

func (b *between) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	if b.step != nil {
		b.step("before the swap")
		defer b.step("after the swap")
	}
	return b.Remote.Write(ctx, ops)
}

func (b *between) Get(ctx context.Context, keys []string) []driver.Result {
	if b.step != nil {
		b.step("before the look")
		defer b.step("after the look")
	}
	return b.Remote.Get(ctx, keys)
}

// A node attaches, and keeps an old value, at each point of an invalidation by tag.
func TestANodeThatAttachesMeanwhileMissesNoTag(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the swap", "after the swap", "before the look", "after the look"} {
		for _, lost := range []bool{false, true} {
			t.Run(when+map[bool]string{true: ", and the record is lost", false: ""}[lost], func(t *testing.T) {
				t.Parallel()
				inFleet(t, options{}, func(t *testing.T, f *fleet) {
					f.warm()
					f.change(1)
					m := &between{Remote: f.env.Remote}
					o := f.opts
					o.Remote = backend.New(m)
					writer := tiertest.Node(t, f.env, "c", &o)
					f.rest(time.Second)
					f.want(writer, 0, "old")
					var c *cache
					attach := func(now bool) {
						if now && c == nil {
							if lost {
								f.lose()
							}
							c = f.node()
							if v, err := c.Get(t.Context(), 1); err != nil {
								t.Error(v, err)
							}
						}
					}
					m.step = func(point string) { attach(point == when) }
					must(t, writer.InvalidateTag(t.Context(), "odd"))
					m.step = nil
					if c == nil {
						t.Fatal("no such point")
					}
					f.rest(0)
					for _, c := range []*cache{writer, c, f.a, f.b, f.node()} {
						f.want(c, 1, "new")
					}
				})
			})
		}
	}
}

func TestAnInvalidationByTagThatFailsIsRepaired(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(f *fleet) (heal func()){
		"the remote tier is down": func(f *fleet) func() { f.env.Remote.Down(); return f.env.Remote.Up },
		"the bus is down":         func(f *fleet) func() { f.env.Hub.Stop(); return f.env.Hub.Start },
	} {
		for what, do := range map[string]func(ctx context.Context, c *cache) error{
			"tag":   func(ctx context.Context, c *cache) error { return c.InvalidateTag(ctx, "odd") },
			"clear": func(ctx context.Context, c *cache) error { return c.Clear(ctx) },
		} {
			t.Run(what+", "+name, func(t *testing.T) {
				t.Parallel()
				inFleet(t, options{}, func(t *testing.T, f *fleet) {
					f.warm()
					f.change(1)
					heal := broken(f)
					wantErr(t, do(t.Context(), f.a), tier.ErrInvalidationPending)
					f.want(f.a, 1, "new")
					f.want(f.a, 1, "new")
					heal()
					f.rest(10 * time.Second)
					f.want(f.b, 1, "new")
					f.want(f.node(), 1, "new")
					f.want(f.a, 1, "new")
				})
			})
		}
	}
}

func TestTagsOfALocalCache(t *testing.T) {
	t.Parallel()
	s := shelf{sourceOf(map[int]string{0: "old", 1: "old"})}
	c := open(t, &options{Policy: policy.CacheAside[int, string](s)})
	want(t, c, 0, "old")
	want(t, c, 1, "old")
	s.Put(0, "new")
	s.Put(1, "new")
	must(t, c.InvalidateTag(t.Context(), "odd"))
	want(t, c, 0, "old")
	want(t, c, 1, "new")
	must(t, c.Clear(t.Context()))
	want(t, c, 0, "new")
}

func TestTagsWithoutABusHoldWithinMaxStaleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env, s := tiertest.New(t), shelf{sourceOf(map[int]string{0: "old", 1: "old"})}
		node := func() *cache {
			c, err := tier.New("c", &options{Remote: env.Store, MaxStaleness: 2 * time.Second, Policy: policy.CacheAside[int, string](s)})
			must(t, err)
			t.Cleanup(func() { c.Close() })
			return c
		}
		a, b := node(), node()
		want(t, b, 0, "old")
		for range 5 {
			time.Sleep(900 * time.Millisecond) // so that b's copy of the markers and its values age apart
			want(t, b, 1, "old")
		}
		s.Put(1, "new")
		must(t, a.InvalidateTag(t.Context(), "odd"))
		want(t, a, 1, "new")
		time.Sleep(2 * time.Second) // of the bubble
		want(t, b, 1, "new")
	})
}

func TestANegativeAnswerHasTheTagsThatTheLoaderGaveIt(t *testing.T) {
	t.Parallel()
	inFleet(t, options{NegativeTTL: time.Minute}, func(t *testing.T, f *fleet) {
		for _, k := range []int{30, 31} { // of which 31 has a tag
			_, err := f.b.Get(t.Context(), k)
			wantErr(t, err, tier.ErrNotFound)
			f.change(k)
		}
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		f.want(f.b, 31, "new")
		_, err := f.b.Get(t.Context(), 30)
		wantErr(t, err, tier.ErrNotFound)
	})
}

func TestAStaleValueThatATagKilledIsNotServed(t *testing.T) {
	t.Parallel()
	inFleet(t, options{SoftTTL: time.Second, MaxStaleness: 10 * time.Second}, func(t *testing.T, f *fleet) {
		f.warm()
		f.rest(2 * time.Second)
		f.change(1)
		f.source.Fail(errors.New("down"))
		must(t, f.a.InvalidateTag(t.Context(), "odd"))
		f.rest(0)
		for _, c := range []*cache{f.a, f.b} {
			if v, err := c.Get(t.Context(), 1); err == nil {
				t.Errorf("served %q", v)
			}
		}
		f.want(f.a, 0, "old")
	})
}

func TestInvalidTagsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t, &options{})
	for _, tags := range [][]string{{""}, {"a", strings.Repeat("x", 5000)}} {
		if err := c.InvalidateTag(t.Context(), tags...); err == nil {
			t.Errorf("%d tags were taken", len(tags))
		}
	}
	must(t, c.InvalidateTag(t.Context()))
}

func TestAnOutsiderInvalidatesAndIsNotCompared(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		f.warm()
		outside := func(version string) *tier.Outsider {
			o, err := tier.Outside("c", &tier.OutsideOptions{Remote: f.env.Store, Bus: f.env.Bus(t), Version: version})
			must(t, err)
			t.Cleanup(func() { must(t, o.Close()) })
			f.rest(time.Minute)
			return o
		}
		outside("2")
		o := outside("")
		if f.from(f.a, 0) != tier.Local {
			t.Error("a local tier is off, or was flushed")
		}
		ctx := t.Context()
		for i, do := range []func() error{
			func() error { return o.Invalidate(ctx, "1") },
			func() error { return o.InvalidateTag(ctx, "odd") },
			func() error { return o.InvalidatePrefix(ctx, "1") },
			func() error { return o.Clear(ctx) },
			func() error { return o.Set(ctx, "1", "4") },
		} {
			v := string(rune('0' + i))
			f.source.Put(1, v)
			must(t, do())
			f.rest(0)
			f.want(f.a, 1, v)
			f.want(f.b, 1, v)
		}
		if _, err := tier.Outside("c", nil); err == nil {
			t.Error("an outsider of nothing")
		}
	})
}

// mislisted is a driver of whose first listing a name is changed on its way.
type mislisted struct {
	driver.Driver
	changed *atomic.Bool
}

func (m mislisted) Unwrap() driver.Driver { return m.Driver }

func (m mislisted) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	inner, _ := driver.As[driver.Scanner](m.Driver)
	return inner.Scan(ctx, prefix, func(keys []string) bool {
		if len(keys) > 0 && m.changed.CompareAndSwap(false, true) {
			keys[0] = keys[0][:len(keys[0])-1] + "?"
		}
		return yield(keys)
	})
}

func TestAPrefixTakesOutAKeyWhoseNameWasChangedOnItsWay(t *testing.T) {
	t.Parallel()
	inFleet(t, options{}, func(t *testing.T, f *fleet) {
		var changed atomic.Bool
		f.opts.Remote = f.env.Store.With(&backend.Options{Decorate: func(d driver.Driver) driver.Driver { return mislisted{d, &changed} }})
		a := f.node()
		f.want(a, 1, "old")
		f.change(1)
		must(t, a.InvalidatePrefix(t.Context(), "1"))
		f.want(a, 1, "new")
		if !changed.Load() {
			t.Error("no name was changed")
		}
	})
}
