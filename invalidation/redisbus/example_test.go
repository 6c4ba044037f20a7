package redisbus_test

import (
	"context"
	"log"

	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// One client serves the store and the bus. It needs a server, so it is compiled and not run.
func ExampleNew() {
	store, err := redis.Open(context.Background(), "redis://localhost:6379", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() // after the bus
	bus, err := redisbus.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	log.Print("node ", bus.Node())
}
