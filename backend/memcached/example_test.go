package memcached_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/memcached"
)

// Open does not talk to the servers: a program starts while they are down.
func ExampleOpen() {
	store, err := memcached.Open(context.Background(), "memcached://cache-b:11211,cache-a?pool=blue",
		&memcached.Options{Timeout: 250 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store)
	// Output: memcached://cache-a:11211,cache-b:11211
}

// The list of servers is in a register that all processes share, and one of them adds a server.
func ExampleSetServers() {
	ctx := context.Background()
	var register memcached.Membership // such as that of invalidation.Register(bus, "pool")

	store, err := memcached.Open(ctx, "memcached://10.0.0.1,10.0.0.2", &memcached.Options{Membership: register})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := memcached.SetServers(ctx, store, "10.0.0.1", "10.0.0.2", "10.0.0.3"); err != nil {
		fmt.Println(err)
	}
}
