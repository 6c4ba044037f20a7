package tier_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

func Example() {
	ctx := context.Background()
	names, err := tier.New[int, string]("names", nil) // a local cache
	if err != nil {
		fmt.Println(err)
		return
	}
	defer names.Close()

	fmt.Println(names.Set(ctx, 1, "one"))
	fmt.Println(names.Get(ctx, 1))
	_, err = names.Get(ctx, 2)
	fmt.Println(errors.Is(err, tier.ErrNotFound))
	// Output:
	// <nil>
	// one <nil>
	// true
}

// A remote tier that all processes share, and a loader for what it does not have.
func ExampleNew() {
	ctx := context.Background()
	store := memory.New(nil) // or redis.Open, memcached.Open, hazelcast.Open
	defer store.Close()
	squares, err := tier.New("squares", &tier.Options[int, int]{
		Remote: store,
		Policy: policy.CacheAside(policy.LoaderFunc[int, int](func(_ context.Context, n int) (int, error) {
			fmt.Println("computing", n)
			return n * n, nil
		})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer squares.Close()

	for range 2 {
		r, err := squares.Lookup(ctx, 12)
		fmt.Println(r.Value, r.Tier, err)
	}
	fmt.Println(squares.Invalidate(ctx, 12))
	fmt.Println(squares.Get(ctx, 12))
	// Output:
	// computing 12
	// 144 source <nil>
	// 144 local <nil>
	// <nil>
	// computing 12
	// 144 <nil>
}
