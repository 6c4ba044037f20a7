package strata_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/strata-cache/strata/backend"
	_ "github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

type Product struct {
	Name  string
	Price int
}

// The program of the README.
func Example() {
	ctx := context.Background()
	store, err := backend.Open(ctx, "memory://") // or redis://…, memcached://…, hazelcast://…
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	products, err := tier.New("products", &tier.Options[int64, Product]{
		Remote: store,
		TTL:    10 * time.Minute,
		Policy: policy.CacheAside[int64, Product](policy.LoaderFunc[int64, Product](
			func(ctx context.Context, id int64) (Product, error) { // your SELECT
				fmt.Println("loading", id)
				return Product{Name: "Teapot", Price: 2900}, nil
			})),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer products.Close()

	for range 2 {
		p, err := products.Get(ctx, 42)
		fmt.Println(p.Name, err)
	}
	// Output:
	// loading 42
	// Teapot <nil>
	// Teapot <nil>
}
