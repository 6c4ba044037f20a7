package hazelcast_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/hazelcast"
)

// Open needs no member: a cluster that is down shows in the first call, and is never a miss.
func ExampleOpen() {
	ctx := context.Background()
	store, err := hazelcast.Open(ctx, "hazelcast://user:secret@127.0.0.1:1?cluster=dev&map=products&timeout=50ms", nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	fmt.Println(store)
	fmt.Println(errors.Is(store.Get(ctx, "key")[0].Err, backend.ErrUnavailable))
	// Output:
	// hazelcast://user:xxxxx@127.0.0.1:1?cluster=dev&map=products
	// true
}
