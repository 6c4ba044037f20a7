package memo_test

import (
	"context"
	"testing"

	"github.com/strata-cache/strata/memo"
)

// Not parallel: it counts the allocations of the process.
func TestAllocationsOfALocalHit(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	type args struct {
		Country string
		Id      int64
	}
	one := made[*memo.Func[string, int]](t)(memo.New("string", func(_ context.Context, s string) (int, error) { return len(s), nil }, nil))
	number := made[*memo.Func[int64, int64]](t)(memo.New("int64", func(_ context.Context, n int64) (int64, error) { return n, nil }, nil))
	strct := made[*memo.Func[args, args]](t)(memo.New("struct", func(_ context.Context, a args) (args, error) { return a, nil }, nil))
	two := made[*memo.Func2[string, string, string]](t)(memo.New2("two", func(_ context.Context, a, b string) (string, error) { return a + b, nil }, nil))
	three := made[*memo.Func3[string, int, bool, string]](t)(memo.New3("three", func(_ context.Context, a string, _ int, _ bool) (string, error) { return a, nil }, nil))
	f := func(_ context.Context, s string) (int, error) { return len(s), nil }
	tenant := made[*memo.Func[string, int]](t)(memo.New("tenant", f, nil, memo.ByContext("tenant", tenantOf, withTenant)))
	both := made[*memo.Func[string, int]](t)(memo.New("both", f, nil, memo.ByContext("tenant", tenantOf, withTenant), memo.ByContext("language", langOf, withLang)))
	float := made[*memo.Func[float64, float64]](t)(memo.New("float", func(_ context.Context, x float64) (float64, error) { return x, nil }, nil))
	deep := made[*memo.Func[[]int64, int]](t)(memo.NewDeep("deep", func(_ context.Context, a []int64) (int, error) { return len(a), nil }, nil))
	ctx := withTenant(t.Context(), "acme")
	ids := []int64{1, 2, 3}
	for name, c := range map[string]struct {
		most float64
		call func() error
	}{
		"a string":                  {0, func() error { _, err := one.Call(ctx, "abc"); return err }},
		"an integer":                {0, func() error { _, err := number.Call(ctx, 1<<40); return err }},
		"a struct":                  {0, func() error { _, err := strct.Call(ctx, args{"de", 42}); return err }},
		"two arguments":             {0, func() error { _, err := two.Call(ctx, "EUR", "USD"); return err }},
		"three arguments":           {0, func() error { _, err := three.Call(ctx, "EUR", 7, true); return err }},
		"a value of the context":    {0, func() error { _, err := tenant.Call(ctx, "abc"); return err }},
		"two values of the context": {3, func() error { _, err := both.Call(ctx, "abc"); return err }},
		"a float":                   {2, func() error { _, err := float.Call(ctx, 1.5); return err }},
		"a slice":                   {2, func() error { _, err := deep.Call(ctx, ids); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, c.call())
			if n := testing.AllocsPerRun(200, func() { must(t, c.call()) }); n > c.most {
				t.Errorf("%v allocations, want at most %v", n, c.most)
			} else {
				t.Logf("%v allocations", n)
			}
		})
	}
}
