package tier_test

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// An application writes its source itself, within a fence: even if it died between the source and Commit, nobody would keep the old
// price.
func ExampleCache_BeginWrite() {
	ctx := context.Background()
	table := map[string]int{"apple": 10} // a database
	prices, err := tier.New("prices", &tier.Options[string, int]{
		Policy: policy.CacheAside(policy.LoaderFunc[string, int](func(_ context.Context, name string) (int, error) {
			return table[name], nil
		})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer prices.Close()
	fmt.Println(prices.Get(ctx, "apple"))

	raise := func() error {
		w, err := prices.BeginWrite(ctx, "apple")
		if err != nil {
			return err // the table is not to be written
		}
		defer w.Abort(ctx, nil) // nothing after Commit
		table["apple"] = 12     // a transaction: if it fails nobody knows what became of it
		if err := w.Set("apple", 12); err != nil {
			fmt.Println("the next read loads it:", err)
		}
		return w.Commit(ctx)
	}
	fmt.Println(raise())
	r, err := prices.Lookup(ctx, "apple")
	fmt.Println(r.Value, r.Tier, err)
	// Output:
	// 10 <nil>
	// <nil>
	// 12 local <nil>
}
