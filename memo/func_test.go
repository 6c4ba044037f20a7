package memo_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/memo"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made returns f, which is closed with the test.
func made[F interface{ Close() error }](t testing.TB) func(f F, err error) F {
	return func(f F, err error) F {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
}

func want[V comparable](t testing.TB, v V) func(V, error) {
	return func(got V, err error) {
		t.Helper()
		if got != v || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, v)
		}
	}
}

type query struct {
	Country string `memo:"variant"`
	Limit   int
}

func TestAFunctionIsCalledOnceForEachArgument(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	double := made[*memo.Func[int, int]](t)(memo.New("double", func(_ context.Context, n int) (int, error) {
		calls.Add(1)
		return 2 * n, nil
	}, nil))
	for range 3 {
		for n := range 4 {
			want(t, 2*n)(double.Call(t.Context(), n))
		}
	}
	if calls.Load() != 4 {
		t.Errorf("%d calls, want 4", calls.Load())
	}
	must(t, double.Invalidate(t.Context(), 1, 2))
	for n := range 4 {
		want(t, 2*n)(double.Call(t.Context(), n))
	}
	if calls.Load() != 6 {
		t.Errorf("%d calls, want 6", calls.Load())
	}
	if r, err := double.Lookup(t.Context(), 1); r.Value != 2 || r.Tier != tier.Local || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if double.Name() != "double" || double.Stats().Loads != 6 {
		t.Errorf("%q, %+v", double.Name(), double.Stats())
	}
	must(t, double.Clear(t.Context()))
	want(t, 6)(double.Call(t.Context(), 3))
	must(t, double.Close())
	if _, err := double.Call(t.Context(), 5); calls.Load() != 7 || !errors.Is(err, tier.ErrClosed) {
		t.Errorf("%d calls, want 7; after Close: %v", calls.Load(), err)
	}
}

func TestCallHasTheSignatureOfTheFunction(t *testing.T) {
	t.Parallel()
	one := made[*memo.Func[string, int]](t)(memo.New("one", func(_ context.Context, s string) (int, error) { return len(s), nil }, nil))
	two := made[*memo.Func2[string, int, string]](t)(memo.New2("two",
		func(_ context.Context, s string, n int) (string, error) { return strings.Repeat(s, n), nil }, nil))
	three := made[*memo.Func3[string, string, bool, string]](t)(memo.New3("three",
		func(_ context.Context, s, u string, both bool) (string, error) {
			if both {
				s += u
			}
			return s, nil
		}, nil))
	deep := made[*memo.Func[[]int, int]](t)(memo.NewDeep("deep", func(_ context.Context, all []int) (int, error) { return len(all), nil }, nil))
	var f1 func(context.Context, string) (int, error) = one.Call
	var f2 func(context.Context, string, int) (string, error) = two.Call
	var f3 func(context.Context, string, string, bool) (string, error) = three.Call
	var fd func(context.Context, []int) (int, error) = deep.Call
	for range 2 {
		want(t, 3)(f1(t.Context(), "abc"))
		want(t, "abab")(f2(t.Context(), "ab", 2))
		want(t, "aba")(f3(t.Context(), "ab", "a", true))
		want(t, "ab")(f3(t.Context(), "ab", "a", false))
		want(t, "a")(f3(t.Context(), "a", "ba", false))
		want(t, 2)(fd(t.Context(), []int{0, 7}))
	}
	loads := func() uint64 { return two.Stats().Loads + three.Stats().Loads }
	before := loads()
	must(t, two.Invalidate(t.Context(), "ab", 2))
	must(t, three.Invalidate(t.Context(), "ab", "a", true))
	must(t, two.Refresh(t.Context(), "x", 1)) // nothing is there: it is called
	must(t, three.Refresh(t.Context(), "x", "y", true))
	r2, err := two.Lookup(t.Context(), "ab", 2)
	must(t, err)
	r3, err := three.Lookup(t.Context(), "ab", "a", true)
	must(t, err)
	if r2.Tier != tier.Source || r3.Tier != tier.Source || loads()-before != 4 {
		t.Errorf("from %v and %v, %d loads", r2.Tier, r3.Tier, loads()-before)
	}
}

func TestErrorsAndPanicsAreNotKept(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	var calls atomic.Int32
	f := made[*memo.Func[string, int]](t)(memo.New("f", func(_ context.Context, how string) (int, error) {
		calls.Add(1)
		switch how {
		case "panics":
			panic("oh")
		case "is not there":
			return 0, memo.ErrNotFound
		}
		return 0, failed
	}, &memo.Options{NegativeTTL: time.Minute}))
	for range 2 {
		if _, err := f.Call(t.Context(), "fails"); !errors.Is(err, failed) {
			t.Error(err)
		}
		_, err := f.Call(t.Context(), "panics")
		if p, ok := errors.AsType[*tier.PanicError](err); !ok || p.Value != "oh" {
			t.Error(err)
		}
		if _, err := f.Call(t.Context(), "is not there"); !errors.Is(err, memo.ErrNotFound) {
			t.Error(err)
		}
	}
	if calls.Load() != 5 {
		t.Errorf("%d calls, want 5: one answer is kept for NegativeTTL", calls.Load())
	}
}

func TestCallersAtOneTimeShareACallWhoseContextIsNobodys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		f := made[*memo.Func[string, string]](t)(memo.New("f", func(ctx context.Context, s string) (string, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return s, ctx.Err()
		}, nil))
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := f.Call(first, "a"); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			all.Go(func() { want(t, "a")(f.Call(t.Context(), "a")) })
		}
		synctest.Wait()
		leave()
		all.Wait()
		if calls.Load() != 1 {
			t.Errorf("%d calls, want 1", calls.Load())
		}
		must(t, f.Close())
	})
}

func TestAStaleResultIsServedWhileTheFunctionIsCalledBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		var n atomic.Int32
		f := made[*memo.Func[[]string, int]](t)(memo.NewDeep("f", func(_ context.Context, args []string) (int, error) {
			if !reflect.DeepEqual(args, []string{"a", "b"}) {
				t.Errorf("called with %q", args)
			}
			return int(n.Add(1)), nil
		}, &memo.Options{Remote: env.Store, Bus: env.Bus(t), TTL: time.Hour, SoftTTL: time.Minute}))
		time.Sleep(time.Second) // until it is trusted
		call := func(v int) {
			t.Helper()
			args := []string{"a", "b"}
			want(t, v)(f.Call(t.Context(), args))
			args[0] = "changed" // the caller may: what is called behind has its own
			synctest.Wait()
		}
		call(1)
		time.Sleep(time.Minute)
		call(1)
		call(2)
		must(t, f.Refresh(t.Context(), []string{"a", "b"}))
		synctest.Wait()
		call(3)
		time.Sleep(2 * time.Hour)
		call(4)
		must(t, f.Close())
	})
}

func TestArgumentsThatAreEqualShareAResultAndOthersDoNot(t *testing.T) {
	t.Parallel()
	type nested struct {
		Ids   []int
		Where map[string]float64
		Page  *int
	}
	var calls atomic.Int32
	f := made[*memo.Func[nested, int]](t)(memo.NewDeep("f", func(context.Context, nested) (int, error) { return int(calls.Add(1)), nil }, nil))
	of := func(page int, where map[string]float64, ids ...int) nested { return nested{ids, where, &page} }
	for i, args := range []nested{
		of(1, nil), of(1, map[string]float64{}), of(2, nil), {}, {Ids: []int{}}, of(1, nil, 1), of(1, nil, 1, 2), of(1, nil, 12),
		of(1, map[string]float64{"a": 1, "b": 2}), of(1, map[string]float64{"a": 2, "b": 1}), of(1, map[string]float64{"a": math.NaN()}),
	} {
		for range 2 {
			want(t, i+1)(f.Call(t.Context(), args))
		}
	}
	zero := made[*memo.Func[float64, bool]](t)(memo.New("zero", func(_ context.Context, x float64) (bool, error) { return math.Signbit(x), nil }, nil))
	want(t, false)(zero.Call(t.Context(), 0))
	want(t, true)(zero.Call(t.Context(), math.Copysign(0, -1)))
}

func TestAnotherVersionIsAnotherCacheAndSoIsAnotherName(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	var calls atomic.Int32
	call := func(name, version string) {
		t.Helper()
		f := made[*memo.Func[string, int]](t)(memo.New(name, func(context.Context, string) (int, error) {
			calls.Add(1)
			return 1, nil
		}, &memo.Options{Remote: env.Store, Version: version}))
		want(t, 1)(f.Call(t.Context(), "a"))
		must(t, f.Close())
	}
	for i, of := range [][2]string{{"f", ""}, {"f", "1"}, {"f", "2"}, {"g", ""}} {
		call(of[0], of[1])
		if want := []int32{1, 1, 2, 3}[i]; calls.Load() != want {
			t.Errorf("%v: %d calls, want %d", of, calls.Load(), want)
		}
	}
}

func TestKeysAreShortAtTheServerAndTheSameFromBothConstructors(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	keys := func() (all []string) {
		must(t, env.Store.Scan(t.Context(), "", func(keys []string) bool {
			all = append(all, keys...)
			return true
		}))
		return all
	}
	for _, long := range []string{"", strings.Repeat("long", 100)} {
		var calls atomic.Int32
		f := func(context.Context, string) (int, error) { return int(calls.Add(1)), nil }
		for range 2 {
			a := made[*memo.Func[string, int]](t)(memo.New("same", f, &memo.Options{Remote: env.Store}))
			b := made[*memo.Func[string, int]](t)(memo.NewDeep("same", f, &memo.Options{Remote: env.Store}))
			want(t, 1)(a.Call(t.Context(), "a"+long))
			want(t, 1)(b.Call(t.Context(), "a"+long))
			want(t, 2)(b.Call(t.Context(), "b"+long))
			want(t, 2)(a.Call(t.Context(), "b"+long))
		}
	}
	for _, k := range keys() {
		if len(k) > 128+len("same/1/{}") {
			t.Errorf("%d bytes: %s", len(k), k)
		}
	}
}

func TestDescribeTellsTTLTagsAndVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		f := made[*memo.Func2[string, string, int]](t)(memo.New2("f", func(context.Context, string, string) (int, error) { return int(n.Add(1)), nil }, nil,
			memo.Describe(func(args memo.Args2[string, string], a *memo.Answer[int]) {
				a.TTL, a.Tags, a.Version = time.Minute, []string{args.B}, 7
			})))
		want(t, 1)(f.Call(t.Context(), "a", "red"))
		want(t, 2)(f.Call(t.Context(), "b", "blue"))
		if r, err := f.Lookup(t.Context(), "a", "red"); err != nil || r.Version != 7 || !reflect.DeepEqual(r.Tags, []string{"red"}) || r.TTL > time.Minute {
			t.Errorf("%+v, %v", r, err)
		}
		must(t, f.InvalidateTag(t.Context(), "blue"))
		want(t, 3)(f.Call(t.Context(), "b", "blue"))
		want(t, 1)(f.Call(t.Context(), "a", "red"))
		time.Sleep(time.Minute)
		want(t, 4)(f.Call(t.Context(), "a", "red"))
		must(t, f.Close())
	})
}

func TestResultsAreClonedWeighedAndEncodedAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	env := tiertest.New(t)
	var weighed atomic.Int32
	list := func(context.Context, string) ([]int, error) { return []int{1, 2}, nil }
	f := made[*memo.Func[string, []int]](t)(memo.New("f", list, &memo.Options{Remote: env.Store},
		memo.Clone(func(v []int) []int { return append([]int(nil), v...) }),
		memo.Weigh(func(v []int) int64 { weighed.Add(1); return int64(len(v)) }),
		memo.Codec(codec.JSON[[]int]())))
	for range 3 {
		v, err := f.Call(t.Context(), "a")
		if err != nil || v[0] != 1 || weighed.Load() == 0 {
			t.Errorf("%v, %v, weighed %d times", v, err, weighed.Load())
		}
		v[0] = 9
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	t.Parallel()
	f := func(context.Context, query) (string, error) { return "", nil }
	from := func(context.Context) (string, error) { return "", nil }
	into := func(ctx context.Context, _ string) context.Context { return ctx }
	_, err := memo.New("f", f, nil, memo.ByContext("country", from, into), memo.ByContext("no name", from, nil), memo.ByArgs("region", func(int) string { return "" }),
		memo.Describe(func(string, *memo.Answer[string]) {}))
	for _, problem := range []string{
		`variant "country": declared twice`, `variant "no name": 1 to 64`, `variant "no name": ByContext takes two`, `variant "region": ByArgs takes a func(memo_test.query) string, got func(int) string`,
		"Describe takes a func(memo_test.query, *policy.Answer[string]), got func(string, *policy.Answer[string])",
	} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%v: lacks %q", err, problem)
		}
	}
	_, err = memo.New("f", f, &memo.Options{Jitter: 2}, memo.Clone(func(int) int { return 0 }))
	if err == nil || !strings.Contains(err.Error(), "Clone takes a func(string) string") {
		t.Error(err)
	}
	if _, err = memo.New("f", f, &memo.Options{Jitter: 2}); err == nil || !strings.Contains(err.Error(), "Jitter") {
		t.Error(err)
	}
	if _, err = memo.New2[int, int, int]("f", nil, nil); err == nil || !strings.Contains(err.Error(), "no function") {
		t.Error(err)
	}
	_, err = memo.NewDeep("f", func(context.Context, map[string]any) (int, error) { return 0, nil }, nil)
	if a, ok := errors.AsType[*memo.ArgumentError](err); !ok || a.Func != "f" || a.Path != "[]" {
		t.Error(err)
	}
	_, err = memo.NewDeep("f", func(context.Context, []struct {
		A string `memo:"variant"`
		B string `memo:"variannt"`
		c string `memo:"variant"`
	}) (int, error) {
		return 0, nil
	}, nil)
	for _, problem := range []string{"field A: a variant cannot be", "field B: tag memo:\"variannt\"", "field c: a variant is an exported"} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%v: lacks %q", err, problem)
		}
	}
}

// A new option of a cache is one of cached functions, or is named here.
func TestOptionsAreThoseOfACache(t *testing.T) {
	t.Parallel()
	apart := map[string]bool{
		"Policy": true, "Key": true, "KeyCodec": true, // made of the function
		"Clone": true, "Weigh": true, "Codec": true, // they depend on its types
		"FenceWait": true, "WhenUnreachable": true, "SourceSettle": true, // nobody sets a result
	}
	ours, theirs := reflect.TypeFor[memo.Options](), reflect.TypeFor[tier.Options[string, int]]()
	for i := range theirs.NumField() {
		f := theirs.Field(i)
		if g, ok := ours.FieldByName(f.Name); ok == apart[f.Name] || ok && g.Type != f.Type {
			t.Errorf("%s %v: %v", f.Name, f.Type, g.Type)
		}
	}
	for i := range ours.NumField() {
		if f := ours.Field(i); f.Name != "" {
			if _, ok := theirs.FieldByName(f.Name); !ok {
				t.Errorf("a cache has no %s", f.Name)
			}
		}
	}
}
