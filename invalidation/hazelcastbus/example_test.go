package hazelcastbus_test

import (
	"context"
	"log"

	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
)

// One client serves the store and the bus. It needs a cluster, so it is compiled and not run.
func ExampleNew() {
	store, err := hazelcast.Open(context.Background(), "hazelcast://localhost:5701", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() // after the bus
	bus, err := hazelcastbus.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	log.Print("node ", bus.Node())
}
