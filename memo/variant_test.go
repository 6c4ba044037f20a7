package memo_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/memo"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// What an application has for its tenants.
type tenantKey struct{}

var errNoTenant = errors.New("no tenant")

func withTenant(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, tenantKey{}, name)
}

func tenantOf(ctx context.Context) (string, error) {
	if name, ok := ctx.Value(tenantKey{}).(string); ok {
		return name, nil
	}
	return "", errNoTenant
}

// langKey is what it has for languages.
type langKey struct{}

func withLang(ctx context.Context, lang string) context.Context {
	return context.WithValue(ctx, langKey{}, lang)
}

func langOf(ctx context.Context) (string, error) {
	lang, _ := ctx.Value(langKey{}).(string)
	return lang, nil
}

// inFleet runs do with two nodes of the same function f, each as in a process of its own, which are trusted.
func inFleet[F interface{ Close() error }](t *testing.T, node func(o *memo.Options) (F, error), do func(t *testing.T, env *tiertest.Env, a, b F)) {
	synctest.Test(t, func(t *testing.T) {
		env := tiertest.New(t)
		var nodes [2]F
		for i := range nodes {
			nodes[i] = made[F](t)(node(&memo.Options{Remote: env.Store, Bus: env.Bus(t), TTL: time.Hour, SoftTTL: time.Minute}))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		do(t, env, nodes[0], nodes[1])
		for _, n := range nodes {
			must(t, n.Close())
		}
	})
}

func TestTenantsNeverSeeEachOthersResults(t *testing.T) {
	t.Parallel()
	for _, deep := range []bool{false, true} {
		var calls atomic.Int32
		invoice := func(ctx context.Context, id int) (string, error) {
			calls.Add(1)
			tenant, err := tenantOf(ctx)
			return tenant + "'s " + strconv.Itoa(id), err
		}
		node := func(o *memo.Options) (*memo.Func[int, string], error) {
			if deep {
				return memo.NewDeep("invoice", invoice, o, memo.ByContext("tenant", tenantOf, withTenant))
			}
			return memo.New("invoice", invoice, o, memo.ByContext("tenant", tenantOf, withTenant))
		}
		inFleet(t, node, func(t *testing.T, env *tiertest.Env, a, b *memo.Func[int, string]) {
			ctxs := map[string]context.Context{}
			for _, tenant := range []string{"", "acme", "7", "umbrella,s1:7"} {
				ctxs[tenant] = withTenant(t.Context(), tenant)
			}
			all := func() {
				t.Helper()
				for range 2 {
					for tenant, ctx := range ctxs {
						for _, n := range []*memo.Func[int, string]{a, b} {
							want(t, tenant+"'s 7")(n.Call(ctx, 7))
							want(t, tenant+"'s 77")(n.Call(ctx, 77))
						}
					}
					synctest.Wait()
				}
			}
			all()
			if n := calls.Load(); n != 8 {
				t.Errorf("%d calls, want 8", n)
			}
			time.Sleep(2 * time.Minute)
			all() // stale: called behind, without any caller's context
			time.Sleep(time.Second)
			all()
			if n := calls.Swap(0); n < 16 || n > 24 { // both nodes may be elected for one result, one after the other
				t.Errorf("%d calls, want 16", n)
			}
			if s := a.Stats(); s.Refreshes == 0 || s.LoadErrors != 0 {
				t.Errorf("%d refreshes, %d errors", s.Refreshes, s.LoadErrors)
			}

			if _, err := a.Call(t.Context(), 7); !errors.Is(err, errNoTenant) || !strings.Contains(err.Error(), "variant tenant") {
				t.Errorf("without a tenant: %v", err)
			}
			must(t, a.InvalidateVariant(t.Context(), "tenant", "acme"))
			synctest.Wait()
			all()
			if n := calls.Swap(0); n != 2 {
				t.Errorf("%d calls, want 2: only acme's two are gone", n)
			}
			must(t, b.Invalidate(t.Context(), 77)) // everybody's
			synctest.Wait()
			all()
			if n := calls.Swap(0); n != 4 {
				t.Errorf("%d calls, want 4: only 77 is gone", n)
			}
			must(t, b.Refresh(ctxs["acme"], 7))
			synctest.Wait()
			all()
			if n := calls.Swap(0); n < 1 || n > 2 {
				t.Errorf("%d calls, want 1: only acme's 7 was stale", n)
			}
		})
	}
}

// Who waits for a call that another tenant began would get what is not his.
func TestTenantsDoNotShareACallUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := made[*memo.Func[int, string]](t)(memo.New("f", func(ctx context.Context, id int) (string, error) {
			time.Sleep(time.Second)
			return tenantOf(ctx)
		}, nil, memo.ByContext("tenant", tenantOf, withTenant)))
		var all sync.WaitGroup
		for i := range 20 {
			tenant := strconv.Itoa(i % 4)
			all.Go(func() { want(t, tenant)(f.Call(withTenant(t.Context(), tenant), 1)) })
		}
		all.Wait()
		if n := f.Stats().Loads; n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
		must(t, f.Close())
	})
}

func TestSeveralValuesOfAContextAreTakenApart(t *testing.T) {
	t.Parallel()
	f := made[*memo.Func[string, string]](t)(memo.New("f", func(ctx context.Context, s string) (string, error) {
		tenant, err := tenantOf(ctx)
		lang, _ := langOf(ctx)
		return strings.Join([]string{tenant, lang, s}, "|"), err
	}, nil, memo.ByContext("tenant", tenantOf, withTenant), memo.ByContext("language", langOf, withLang)))
	for range 2 {
		for _, v := range [][2]string{{"a", "de"}, {"ad", "e"}, {"", "ade"}, {"ade", ""}, {"s1:a,", "s0:,"}, {"", ""}} {
			want(t, v[0]+"|"+v[1]+"|x")(f.Call(withLang(withTenant(t.Context(), v[0]), v[1]), "x"))
		}
	}
	if n := f.Stats().Loads; n != 6 {
		t.Errorf("%d calls, want 6", n)
	}
	must(t, f.InvalidateVariant(t.Context(), "language", "", "de"))
	want(t, "a|de|x")(f.Call(withLang(withTenant(t.Context(), "a"), "de"), "x"))
	want(t, "ad|e|x")(f.Call(withLang(withTenant(t.Context(), "ad"), "e"), "x"))
	if n := f.Stats().Loads; n != 7 {
		t.Errorf("%d calls, want 7", n)
	}
}

func TestVariantsOfArgumentsAreInvalidatedTogetherInAFewRoundTrips(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	type place struct{ query }
	type search struct {
		Text  string
		Place place
		Adult bool `memo:"variant=age"`
	}
	f := func(_ context.Context, q search) (string, error) {
		calls.Add(1)
		if q.Text == "nothing" {
			return "", memo.ErrNotFound
		}
		return q.Text + " in " + q.Place.Country, nil
	}
	node := func(o *memo.Options) (*memo.Func[search, string], error) {
		o.NegativeTTL = time.Hour
		return memo.New("search", f, o, memo.ByArgs("initial", func(q search) string { return q.Text[:1] }))
	}
	inFleet(t, node, func(t *testing.T, env *tiertest.Env, a, b *memo.Func[search, string]) {
		texts := []string{"tea", "coffee", "water", "nothing"}
		all := func(calledFor int) {
			t.Helper()
			before := calls.Load()
			for _, n := range []*memo.Func[search, string]{b, a} {
				for _, text := range texts {
					for i, country := range []string{"de", "at", "d"} {
						v, err := n.Call(t.Context(), search{text, place{query{country, i}}, i == 0})
						if (v != text+" in "+country || err != nil) && (text != "nothing" || !errors.Is(err, memo.ErrNotFound)) {
							t.Errorf("%q, %v", v, err)
						}
					}
				}
			}
			if n := calls.Load() - before; int(n) != calledFor {
				t.Errorf("%d calls, want %d", n, calledFor)
			}
		}
		invalidate := func(variant string, values ...string) {
			t.Helper()
			reads, writes := env.Remote.Reads(), env.Remote.Writes()
			must(t, a.InvalidateVariant(t.Context(), variant, values...))
			if r, w := env.Remote.Reads()-reads, env.Remote.Writes()-writes; r > 1 || w != 1 {
				t.Errorf("%d reads and %d writes, want at most 1 and 1", r, w)
			}
			synctest.Wait()
		}
		all(12)
		all(0)
		invalidate("country", "de")
		all(4)
		invalidate("country", "de", "at")
		all(8)
		invalidate("age", "false")
		all(8)
		invalidate("initial", "t", "n")
		all(6)
		invalidate("country", "fr")
		all(0)
		for _, v := range []string{"Country", "", "tenant"} {
			if err := a.InvalidateVariant(t.Context(), v, "de"); err == nil || !strings.Contains(err.Error(), "not declared") {
				t.Errorf("%q: %v", v, err)
			}
		}
	})
}

func TestLongValuesOfAVariantAreInvalidatedToo(t *testing.T) {
	t.Parallel()
	f := made[*memo.Func[query, int]](t)(memo.New("f", func(_ context.Context, q query) (int, error) { return len(q.Country), nil }, nil))
	long := strings.Repeat("x", 1<<16)
	want(t, 1<<16)(f.Call(t.Context(), query{Country: long}))
	want(t, 1<<16-1)(f.Call(t.Context(), query{Country: long[1:]}))
	must(t, f.InvalidateVariant(t.Context(), "country", long))
	r, err := f.Lookup(t.Context(), query{Country: long})
	must(t, err)
	r2, err := f.Lookup(t.Context(), query{Country: long[1:]})
	if must(t, err); r.Tier != tier.Source || r2.Tier != tier.Local {
		t.Errorf("from %v and %v", r.Tier, r2.Tier)
	}
}
