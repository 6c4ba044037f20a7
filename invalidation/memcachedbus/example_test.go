package memcachedbus_test

import (
	"context"
	"log"

	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
)

// One pool serves the store and the bus. It needs a server, so it is compiled and not run.
func ExampleNew() {
	store, err := memcached.Open(context.Background(), "memcached://localhost:11211", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() // after the bus
	bus, err := memcachedbus.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	log.Print("node ", bus.Node())
}
