package memo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/memo"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

func fetchRate(_ context.Context, base, quote string) (float64, error) {
	fmt.Println("fetching", base, quote)
	return 1.25, nil
}

func Example() {
	ctx := context.Background()
	rates, err := memo.New2("exchange-rate", fetchRate, &memo.Options{TTL: time.Hour, SoftTTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rates.Close()

	fmt.Println(rates.Call(ctx, "EUR", "USD"))
	fmt.Println(rates.Call(ctx, "EUR", "USD"))
	fmt.Println(rates.Invalidate(ctx, "EUR", "USD"))
	fmt.Println(rates.Call(ctx, "EUR", "USD"))
	// Output:
	// fetching EUR USD
	// 1.25 <nil>
	// 1.25 <nil>
	// <nil>
	// fetching EUR USD
	// 1.25 <nil>
}

// A variant is declared by a field's tag.
func ExampleCache_InvalidateVariant() {
	type Query struct {
		Country string `memo:"variant"`
		Text    string
	}
	ctx := context.Background()
	search, err := memo.New("search", func(_ context.Context, q Query) (string, error) {
		fmt.Println("searching", q.Text, "in", q.Country)
		return "found", nil
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer search.Close()

	all := func() {
		for _, q := range []Query{{"de", "tea"}, {"de", "pot"}, {"fr", "tea"}} {
			if _, err := search.Call(ctx, q); err != nil {
				fmt.Println(err)
			}
		}
	}
	all()
	fmt.Println(search.InvalidateVariant(ctx, "country", "de"))
	all()
	// Output:
	// searching tea in de
	// searching pot in de
	// searching tea in fr
	// <nil>
	// searching tea in de
	// searching pot in de
}

// What the function takes from its context is declared too, or tenants would see each other's invoices.
func ExampleByContext() {
	type key struct{}
	newContext := func(ctx context.Context, tenant string) context.Context { return context.WithValue(ctx, key{}, tenant) }
	fromContext := func(ctx context.Context) (string, error) {
		if tenant, ok := ctx.Value(key{}).(string); ok {
			return tenant, nil
		}
		return "", fmt.Errorf("no tenant")
	}

	invoices, err := memo.New("invoice", func(ctx context.Context, id int) (string, error) {
		tenant, err := fromContext(ctx)
		return fmt.Sprintf("invoice %d of %s", id, tenant), err
	}, nil, memo.ByContext("tenant", fromContext, newContext))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer invoices.Close()

	ctx := context.Background()
	fmt.Println(invoices.Call(newContext(ctx, "acme"), 7))
	fmt.Println(invoices.Call(newContext(ctx, "umbrella"), 7))
	_, err = invoices.Call(ctx, 7)
	fmt.Println(err)
	fmt.Println(invoices.Invalidate(ctx, 7)) // everybody's
	// Output:
	// invoice 7 of acme <nil>
	// invoice 7 of umbrella <nil>
	// memo: invoice: variant tenant: no tenant
	// <nil>
}

// A token tells itself how long it is good.
func ExampleDescribe() {
	type Token struct {
		Secret  string
		Expires time.Duration
	}
	tokens, err := memo.New("token", func(_ context.Context, user string) (Token, error) {
		return Token{"secret of " + user, 30 * time.Second}, nil
	}, nil, memo.Describe(func(_ string, a *memo.Answer[Token]) { a.TTL = a.Value.Expires }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close()

	r, err := tokens.Lookup(context.Background(), "ann")
	fmt.Println(r.Value.Secret, r.TTL <= 30*time.Second, err)
	// Output:
	// secret of ann true <nil>
}

// catalogue has all products.
type catalogue map[int]string

func (c catalogue) Load(_ context.Context, id int) (string, error) {
	if name, ok := c[id]; ok {
		return name, nil
	}
	return "", policy.ErrNotFound
}

func (c catalogue) LoadMany(ctx context.Context, ids []int) ([]policy.Answer[string], error) {
	fmt.Println("loading", ids)
	answers := make([]policy.Answer[string], len(ids))
	for i, id := range ids {
		answers[i].Value, answers[i].Err = c.Load(ctx, id)
	}
	return answers, nil
}

// The ids that a search finds are cached, and what they name is, apart.
func ExampleNewList() {
	ctx := context.Background()
	store := memory.New(nil) // or redis.Open, memcached.Open, hazelcast.Open
	defer store.Close()
	products, err := tier.New("products", &tier.Options[int, string]{
		Remote: store, Policy: policy.CacheAside(catalogue{1: "pot", 2: "cup", 3: "tea"}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer products.Close()
	search, err := memo.New("search", func(_ context.Context, text string) ([]int, error) {
		fmt.Println("searching", text)
		return []int{3, 1, 3}, nil
	}, &memo.Options{Remote: store, TTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer search.Close()

	results := memo.NewList(search.Call, products, nil)
	fmt.Println(results.Objects(ctx, "t"))
	fmt.Println(products.Invalidate(ctx, 1)) // no search is made again for that
	fmt.Println(results.Objects(ctx, "t"))
	fmt.Println(results.Page(ctx, "t", 1, 1))
	// Output:
	// searching t
	// loading [3 1]
	// [tea pot tea] <nil>
	// <nil>
	// [tea pot tea] <nil>
	// [pot] 3 <nil>
}
