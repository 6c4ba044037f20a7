package config_test

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/policy"
)

type Product struct {
	ID   int64
	Name string
}

func selectProduct(_ context.Context, id int64) (Product, error) {
	return Product{ID: id, Name: "lamp"}, nil
}

func Example() {
	file := `
remotes:
  main: memory://
buses:
  main: memory://
defaults:
  remote: main
  bus: main
caches:
  products:
    ttl: 5m
    local_cost: 16MiB
`
	ctx := context.Background()
	drivers := newWorld().drivers() // a program lists the openers of the servers that it uses
	set, err := config.Parse(ctx, []byte(file), []string{"STRATA_CACHES_PRODUCTS_TTL=2m"}, drivers)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	products, err := config.Cache(set, "products", config.Source(policy.LoaderFunc[int64, Product](selectProduct)))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := products.Get(ctx, 42)
	fmt.Println(p.Name, err)
	// Output: lamp <nil>
}

// All mistakes are reported at once.
func ExampleParse_mistakes() {
	_, err := config.Parse(context.Background(), []byte(`
remotes:
  main: memory://
caches:
  products:
    remote: mian
    tll: 5m
    max_staleness: 100ms
`), nil, newWorld().drivers())
	fmt.Println(err)
	// Output:
	// config: 6:13: caches.products.remote: no remote has the name "mian"; did you mean main?
	// config: 7:5: caches.products.tll: unknown field; did you mean ttl?
	// config: 8:20: caches.products.max_staleness: "100ms" is too short: at least 500ms
}
