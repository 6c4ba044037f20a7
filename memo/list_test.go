package memo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/memo"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A shop has products, and searches that return their ids.
type shop struct {
	env      *tiertest.Env
	source   *tiertest.Source[int, string]
	ids      atomic.Pointer[[]int]
	searches atomic.Int32
	search   *memo.Func[string, []int]
	products *tier.Cache[int, string]
}

func inShop(t *testing.T, do func(t *testing.T, s *shop)) {
	synctest.Test(t, func(t *testing.T) {
		s := &shop{env: tiertest.New(t), source: tiertest.NewSource[int, string]()}
		for i, name := range []string{"pot", "cup", "tea", "tin"} {
			s.source.Put(i, name)
		}
		s.ids.Store(&[]int{3, 0, 2, 0, 1})
		s.search = made[*memo.Func[string, []int]](t)(memo.New("search", func(context.Context, string) ([]int, error) {
			s.searches.Add(1)
			return *s.ids.Load(), nil
		}, &memo.Options{Remote: s.env.Store}))
		s.products = tiertest.Node(t, s.env, "products", &tier.Options[int, string]{Policy: policy.CacheAside(s.source)})
		time.Sleep(time.Second) // what the first heartbeat flushes is not kept
		synctest.Wait()
		do(t, s)
		must(t, s.search.Close())
	})
}

func wantAll[V comparable](t *testing.T, want ...V) func([]V, error) {
	return func(got []V, err error) {
		t.Helper()
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
}

func TestObjectsComeInTheOrderOfTheirIdsForOneReadAndOneLoad(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		l := memo.NewList(s.search.Call, s.products, nil)
		_, err := s.search.Call(t.Context(), "q") // now the list is warm, and its objects are cold
		must(t, err)
		reads := s.env.Remote.Reads()
		wantAll(t, "tin", "pot", "tea", "pot", "cup")(l.Objects(t.Context(), "q"))
		if r := s.env.Remote.Reads() - reads; r != 1 || s.source.Batches() != 1 || s.source.Loads() != 4 {
			t.Errorf("%d bulk reads, %d batch loads, %d keys loaded, want 1, 1 and 4", r, s.source.Batches(), s.source.Loads())
		}
		reads = s.env.Remote.Reads()
		wantAll(t, "tin", "pot", "tea", "pot", "cup")(l.Objects(t.Context(), "q"))
		if r := s.env.Remote.Reads() - reads; r != 0 || s.source.Batches() != 1 {
			t.Errorf("warm: %d bulk reads, %d batch loads", r, s.source.Batches())
		}

		s.source.Put(0, "kettle")
		must(t, s.products.Invalidate(t.Context(), 0))
		wantAll(t, "tin", "kettle", "tea", "kettle", "cup")(l.Objects(t.Context(), "q"))
		if s.searches.Load() != 1 || s.source.Loads() != 5 {
			t.Errorf("%d searches, %d loads: an object's change is the object's alone", s.searches.Load(), s.source.Loads())
		}
		s.ids.Store(&[]int{1})
		must(t, s.search.Invalidate(t.Context(), "q"))
		wantAll(t, "cup")(l.Objects(t.Context(), "q"))
		if s.source.Loads() != 5 {
			t.Errorf("%d loads: a list's change is the list's alone", s.source.Loads())
		}
	})
}

func TestWhatIsGoneIsLeftOutOrAnErrorAsTheOptionSays(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.source.Remove(0)
		wantAll(t, "tin", "tea", "cup")(memo.NewList(s.search.Call, s.products, nil).Objects(t.Context(), "q"))
		strict := memo.NewList(s.search.Call, s.products, &memo.ListOptions{FailMissing: true})
		objects, err := strict.Objects(t.Context(), "q")
		failed, ok := errors.AsType[*memo.ListError](err)
		if objects != nil || !ok || failed.ID != 0 || failed.Failed != 2 || failed.Of != 5 || !errors.Is(err, memo.ErrNotFound) {
			t.Errorf("%v, %v", objects, err)
		}
		entries, total, err := strict.Entries(t.Context(), "q", 0, -1)
		if must(t, err); total != 5 || len(entries) != 5 {
			t.Fatalf("%d of %d", len(entries), total)
		}
		for i, id := range []int{3, 0, 2, 0, 1} {
			if e := entries[i]; e.ID != id || errors.Is(e.Err, memo.ErrNotFound) != (id == 0) {
				t.Errorf("%d: %+v", i, e)
			}
		}
	})
}

func TestAnErrorOfOneObjectIsOneOfTheListAndOfItsEntry(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		l := memo.NewList(s.search.Call, s.products, nil)
		_, err := s.products.Get(t.Context(), 3)
		must(t, err)
		down := errors.New("down")
		s.source.Fail(down)
		_, err = l.Objects(t.Context(), "q")
		if failed, ok := errors.AsType[*memo.ListError](err); !ok || !errors.Is(err, down) || failed.Failed != 4 || failed.ID != 0 || !strings.Contains(err.Error(), "4 of 5") {
			t.Error(err)
		}
		entries, _, err := l.Entries(t.Context(), "q", 0, 2)
		if err != nil || entries[0].Value != "tin" || entries[0].Err != nil || !errors.Is(entries[1].Err, down) {
			t.Errorf("%+v, %v", entries, err)
		}
		s.source.Fail(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Objects(ctx, "q"); err != context.Canceled {
			t.Errorf("after ctx: %v", err)
		}
		other := memo.NewList(func(context.Context, string) ([]int, error) { return nil, down }, s.products, nil)
		if _, err := other.Objects(t.Context(), "q"); !errors.Is(err, down) {
			t.Error(err)
		}
	})
}

func TestAPageReadsItsOwnObjectsOnly(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		l := memo.NewList(s.search.Call, s.products, nil)
		for _, c := range []struct {
			offset, limit int
			want          []string
		}{
			{0, 2, []string{"tin", "pot"}},
			{1, 3, []string{"pot", "tea", "pot"}},
			{4, 2, []string{"cup"}},
			{2, -1, []string{"tea", "pot", "cup"}},
			{5, 2, nil}, {50, 2, nil}, {0, 0, nil}, {-3, 1, []string{"tin"}},
		} {
			objects, total, err := l.Page(t.Context(), "q", c.offset, c.limit)
			if !slices.Equal(objects, c.want) || total != 5 || err != nil {
				t.Errorf("from %d, %d: %q of %d, %v", c.offset, c.limit, objects, total, err)
			}
			if n := s.source.Loads(); c.limit == 2 && c.offset == 0 && n != 2 {
				t.Errorf("%d loads for the first page", n)
			}
		}
	})
}
