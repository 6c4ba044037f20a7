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
