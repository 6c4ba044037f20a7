package backend_test

import (
	"context"
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	_ "github.com/strata-cache/strata/backend/memory" // or redis, memcached, hazelcast: the schemes that Open knows
	"github.com/strata-cache/strata/backend/record"
)

func ExampleOpen() {
	ctx := context.Background()
	store, err := backend.Open(ctx, "memory://")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	products := store.Prefix("products")
	rec := record.New(record.Header{
		Kind:   record.Value,
		Token:  record.NewToken(),
		Expiry: time.Now().Add(time.Minute),
	}, []byte("a lamp"))
	add := driver.Op{Key: "42", Step: record.Step{Verb: record.Add, Record: rec, TTL: time.Minute}}

	fmt.Println(products.Write(ctx, add)[0].Outcome)
	fmt.Println(products.Write(ctx, add)[0].Outcome) // something is there

	_, body, _ := record.Parse(products.Get(ctx, "42")[0].Record)
	fmt.Printf("%s\n", body)
	// Output:
	// done
	// refused
	// a lamp
}

func ExampleStore_Count() {
	ctx := context.Background()
	store, err := backend.Open(ctx, "memory://")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	store.Count(ctx, "visits", 2, time.Hour)
	n, err := store.Count(ctx, "visits", 3, time.Hour)
	fmt.Println(n, err)
	// Output: 5 <nil>
}
