package redis_test

import (
	"context"
	"fmt"
	"log"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/redis"
)

// It needs a server, so it is compiled and not run.
func ExampleOpen() {
	ctx := context.Background()
	store, err := redis.Open(ctx, "redis://localhost:6379/0", &redis.Options{
		Timeout:  250 * time.Millisecond,
		Password: "from the environment",
	})
	if err != nil {
		log.Fatal(err) // a mistake in the URL or options; a server that is down is none
	}
	defer store.Close()

	var client *goredis.Client
	if store.As(&client) {
		fmt.Println(client.DBSize(ctx).Val(), "keys")
	}
}
