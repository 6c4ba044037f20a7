package tier_test

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier"
)

// What an application derives from cached values it derives anew when they change, whichever node changes them.
func ExampleCache_Watch() {
	ctx := context.Background()
	bus := membus.Bus(membus.NewHub(), nil) // or redisbus.Open, hazelcastbus.Open, memcachedbus.Open
	defer bus.Close()
	products, err := tier.New("products", &tier.Options[int, string]{Bus: bus}) // and Remote
	if err != nil {
		fmt.Println(err)
		return
	}
	defer products.Close()
	if err := bus.Ping(ctx); err != nil { // else the first subscription would be told as well
		fmt.Println(err)
		return
	}

	changes, err := products.Watch(ctx) // first this, then what depends on what was read
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(products.Invalidate(ctx, 42), products.InvalidateTag(ctx, "brand:acme"), products.Clear(ctx))

	for change := range changes {
		switch change.Verb {
		case invalidation.VerbInvalidate, invalidation.VerbExpire:
			fmt.Println("again: pages about", change.Keys)
		case invalidation.VerbTag:
			fmt.Println("again: pages about products of", change.Keys)
		case invalidation.VerbClear: // or change.Missed
			fmt.Println("again: all pages")
			return
		}
	}
	// Output:
	// <nil> <nil> <nil>
	// again: pages about [42]
	// again: pages about products of [brand:acme]
	// again: all pages
}
