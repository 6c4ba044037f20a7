package feed_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/feed"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// productFeed makes a cache of products by their ID hear of changes.
type productFeed struct{ cache *tier.Cache[int, string] }

func (p productFeed) Changed(ctx context.Context, changes []feed.Change) error {
	ids := make([]int, 0, len(changes))
	for _, c := range changes {
		id, err := strconv.Atoi(c.Columns["id"])
		if err != nil {
			return p.cache.Clear(ctx) // all rows may have changed
		}
		ids = append(ids, id)
	}
	return p.cache.Invalidate(ctx, ids...)
}

func (p productFeed) Missed(ctx context.Context) error { return p.cache.Clear(ctx) }

func ExampleHandler() {
	ctx := context.Background()
	table := map[int]string{1: "lamp"}
	cache, err := tier.New("products", &tier.Options[int, string]{
		Remote: memory.New(nil), TTL: time.Hour,
		Policy: policy.CacheAside(policy.LoaderFunc[int, string](func(_ context.Context, id int) (string, error) {
			return table[id], nil
		})),
	})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	show := func() {
		name, err := cache.Get(ctx, 1)
		fmt.Println(name, err)
	}
	show()
	table[1] = "chair" // another program writes
	show()
	var handler feed.Handler = productFeed{cache} // which a feed calls, such as that of feed/pgfeed
	err = handler.Changed(ctx, []feed.Change{{Table: "products", Op: feed.Update, Columns: map[string]string{"id": "1"}}})
	fmt.Println(err)
	show()
	// Output:
	// lamp <nil>
	// lamp <nil>
	// <nil>
	// chair <nil>
}
