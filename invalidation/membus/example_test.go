package membus_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/tier"
)

// Two nodes in one process, as tests of an application use them: what one sets, the other reads.
func Example() {
	ctx := context.Background()
	store, hub := memory.New(nil), membus.NewHub()
	defer store.Close()
	var nodes [2]*tier.Cache[string, string]
	for i := range nodes {
		bus := membus.Bus(hub, nil)
		defer bus.Close()
		c, err := tier.New("greetings", &tier.Options[string, string]{Remote: store, Bus: bus, TTL: time.Minute})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
		nodes[i] = c
	}
	fmt.Println(nodes[0].Set(ctx, "en", "hello"))
	fmt.Println(nodes[1].Get(ctx, "en"))
	// Output:
	// <nil>
	// hello <nil>
}
