package tier_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// Two structures that one type had.
type (
	itemBefore struct {
		Name  string
		Euros int
	}
	itemNow struct {
		Name  string
		Cents int
	}
)

var itemCodec = codec.Versioned(codec.MessagePack[itemNow](), codec.OldType(codec.MessagePack[itemBefore](), func(o itemBefore) (itemNow, error) {
	if o.Name == "" {
		return itemNow{}, errors.New("nothing to make an item of")
	}
	return itemNow{o.Name, 100 * o.Euros}, nil
}))

// program is one version of a program: a cache without a local tier, so that it reads what is stored.
func program[V any](t *testing.T, env *tiertest.Env, c codec.Codec[V], load func(k int) V) *tier.Cache[int, V] {
	t.Helper()
	return tiertest.Node(t, env, "items", &tier.Options[int, V]{LocalCost: -1, Codec: c, Policy: policy.CacheAside(
		policy.LoaderFunc[int, V](func(_ context.Context, k int) (V, error) { return load(k), nil }))})
}

func TestTwoVersionsOfAProgramShareARemoteTier(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	before := program(t, env, codec.MessagePack[itemBefore](), func(k int) itemBefore { return itemBefore{"source " + strconv.Itoa(k), k} })
	now := program(t, env, itemCodec, func(k int) itemNow { return itemNow{"source " + strconv.Itoa(k), 100 * k} })

	must(t, before.Set(t.Context(), 1, itemBefore{"chair", 49}))
	if v, ok, err := now.Peek(t.Context(), 1); v != (itemNow{"chair", 4900}) || !ok || err != nil {
		t.Errorf("the new one reads the old one's: %+v, %t, %v", v, ok, err)
	}
	if n := now.Stats().Undecodable; n != 0 {
		t.Errorf("%d undecodable", n)
	}
	must(t, now.Set(t.Context(), 2, itemNow{"table", 9950}))
	eventually(t, "the old one heard: a load that a message meets is not stored", func() bool { return before.Stats().Received == 1 })
	if v, ok, err := before.Peek(t.Context(), 2); ok || err != nil {
		t.Errorf("the old one reads the new one's: %+v, %v", v, err)
	}
	if s := before.Stats(); s.UndecodableBy[codec.ReasonSchema] != 1 {
		t.Errorf("not counted: %+v", s)
	}
	if v, err := before.Get(t.Context(), 2); v != (itemBefore{"source 2", 2}) || err != nil {
		t.Errorf("the old one loads instead: %+v, %v", v, err)
	}
	if v, ok, err := now.Peek(t.Context(), 2); v != (itemNow{"source 2", 200}) || !ok || err != nil {
		t.Errorf("the new one reads what it loaded: %+v, %t, %v", v, ok, err)
	}
	must(t, before.Set(t.Context(), 3, itemBefore{})) // which the hook refuses
	if v, err := now.Get(t.Context(), 3); v != (itemNow{"source 3", 300}) || err != nil {
		t.Errorf("a hook that fails is a miss: %+v, %v", v, err)
	}
}

func TestTwoVersionsOfAProgramAtTheSameKeysNeverBreak(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	before := program(t, env, codec.MessagePack[itemBefore](), func(k int) itemBefore { return itemBefore{"item " + strconv.Itoa(k), k} })
	now := program(t, env, itemCodec, func(k int) itemNow { return itemNow{"item " + strconv.Itoa(k), 100 * k} })

	var all sync.WaitGroup // joined below
	for range 2 {
		all.Go(func() {
			for n := range 500 {
				k := n % 5
				if v, err := before.Get(t.Context(), k); v != (itemBefore{"item " + strconv.Itoa(k), k}) || err != nil {
					t.Errorf("old: %+v, %v", v, err)
				}
				if n%50 == 0 {
					report(t, before.Invalidate(t.Context(), k))
				}
			}
		})
		all.Go(func() {
			for n := range 500 {
				k := n % 5
				if v, err := now.Get(t.Context(), k); v != (itemNow{"item " + strconv.Itoa(k), 100 * k}) || err != nil {
					t.Errorf("new: %+v, %v", v, err)
				}
				if n%70 == 0 {
					report(t, now.Set(t.Context(), k, itemNow{"item " + strconv.Itoa(k), 100 * k}))
				}
			}
		})
	}
	all.Wait()
}

// report is must for a goroutine that is not the test's.
func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
