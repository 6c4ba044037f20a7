package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

type (
	funcs  = policy.Funcs[int, string]
	answer = policy.Answer[string]
	change = policy.Change[int, string]
)

func ExampleFuncs() {
	ctx := context.Background()
	table := map[int64]string{1: "apple"}
	fruit := policy.Funcs[int64, string]{
		Load: func(_ context.Context, id int64) (string, error) {
			if name, ok := table[id]; ok {
				return name, nil
			}
			return "", policy.ErrNotFound
		},
		Store: func(_ context.Context, id int64, name string) error { table[id] = name; return nil },
	}
	cache, err := tier.New("fruit", &tier.Options[int64, string]{Policy: policy.WriteThrough(fruit.Source())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	fmt.Println(cache.Get(ctx, 1))
	fmt.Println(cache.Set(ctx, 2, "pear"), table[2])
	err = cache.Delete(ctx, 2) // there is no such function
	fmt.Println(errors.Is(err, tier.ErrUnsupported), errors.Is(err, tier.ErrNotWritten), table[2])
	// Output:
	// apple <nil>
	// <nil> pear
	// true true pear
}

// Every set of functions gives exactly the abilities that it has.
func TestFuncsHaveNoAbilityWithoutItsFunction(t *testing.T) {
	t.Parallel()
	for bits := range 8 {
		f := funcs{}
		if bits&1 != 0 {
			f.LoadMany = func(context.Context, []int) ([]answer, error) { return []answer{{Value: "many"}}, nil }
		}
		if bits&2 != 0 {
			f.StoreMany = func(context.Context, []change) error { return errors.New("many") }
		}
		if bits&4 != 0 {
			f.Swap = func(context.Context, answer, change) error { return policy.ErrConflict }
		}
		s := f.Source()
		many, isMany := s.(policy.BatchLoader[int, string])
		batch, isBatch := s.(policy.BatchStore[int, string])
		swap, isSwap := s.(policy.Swapper[int, string])
		if isMany != (bits&1 != 0) || isBatch != (bits&2 != 0) || isSwap != (bits&4 != 0) {
			t.Errorf("%03b: loads many %t, stores many %t, swaps %t", bits, isMany, isBatch, isSwap)
		}
		if isMany {
			if a, err := many.LoadMany(t.Context(), nil); err != nil || a[0].Value != "many" {
				t.Error(a, err)
			}
		}
		if isBatch {
			if err := batch.StoreMany(t.Context(), nil); err == nil {
				t.Error("another function was called")
			}
		}
		if isSwap {
			if err := swap.Swap(t.Context(), answer{}, change{}); err != policy.ErrConflict {
				t.Error(err)
			}
		}
		l := f.Loader()
		if _, ok := l.(policy.Store[int, string]); ok {
			t.Errorf("%03b: a loader writes", bits)
		}
		if _, ok := l.(policy.BatchLoader[int, string]); ok != (bits&1 != 0) {
			t.Errorf("%03b: the loader loads many: %t", bits, ok)
		}
	}
}

func TestFuncsDoTheWorkOfThoseThatAreMissing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	load := func(_ context.Context, k int) (string, error) { return fmt.Sprint("load ", k), nil }
	refresh := func(_ context.Context, k int, held *answer) answer {
		return answer{Value: fmt.Sprint("refresh ", k, held != nil)}
	}
	many := func(_ context.Context, keys []int) ([]answer, error) {
		return []answer{{Value: fmt.Sprint("many ", keys)}}, nil
	}
	held := &answer{Value: "old", Tags: []string{"x"}}
	for i, c := range []struct {
		f             funcs
		load, refresh string
		tags          int
	}{
		{funcs{Load: load}, "load 1", "load 1", 1},
		{funcs{Load: load, LoadMany: many}, "load 1", "many [1]", 0},
		{funcs{Refresh: refresh}, "refresh 1 false", "refresh 1 true", 0},
		{funcs{LoadMany: many}, "many [1]", "many [1]", 0},
		{funcs{Load: load, Refresh: refresh, LoadMany: many}, "load 1", "refresh 1 true", 0},
	} {
		l := c.f.Loader()
		if v, err := l.Load(ctx, 1); v != c.load || err != nil {
			t.Errorf("%d: Load is %q, %v", i, v, err)
		}
		if a := l.(policy.Refresher[int, string]).Refresh(ctx, 1, held); a.Value != c.refresh || a.Err != nil || len(a.Tags) != c.tags {
			t.Errorf("%d: Refresh is %+v", i, a)
		}
	}

	for name, bad := range map[string]funcs{
		"none":  {},
		"two":   {LoadMany: func(context.Context, []int) ([]answer, error) { return make([]answer, 2), nil }},
		"fails": {LoadMany: func(context.Context, []int) ([]answer, error) { return nil, sentinel.ErrUnsupported }},
	} {
		if _, err := bad.Source().Load(ctx, 1); err == nil || name != "two" && !errors.Is(err, sentinel.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}

	var got []change
	f := funcs{StoreMany: func(_ context.Context, all []change) error { got = append(got, all...); return nil }}
	if err := errors.Join(f.Source().Store(ctx, 1, "v"), f.Source().Delete(ctx, 2)); err != nil {
		t.Error(err)
	}
	if len(got) != 2 || got[0] != (change{Key: 1, Value: "v"}) || got[1] != (change{Key: 2, Delete: true}) {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{funcs{}.Source().Store(ctx, 1, ""), funcs{}.Source().Delete(ctx, 1)} {
		if !errors.Is(err, sentinel.ErrUnsupported) || !errors.Is(err, policy.ErrNotWritten) {
			t.Error(err)
		}
	}
}
