package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
	"github.com/strata-cache/strata/tier"
)

type Product struct {
	ID    int64    `db:"id"`
	Name  string   `db:"name"`
	Price float64  `db:"price"`
	Tags  []string `db:"tags,json"`
}

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would be a database of its own
	_, err = db.Exec(`CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, price real NOT NULL, tags text)`)
	if err != nil {
		fmt.Println(err)
		return
	}

	table, err := sqlstore.New[int64, Product](db, sqlstore.SQLite, &sqlstore.Options{Table: "products", Key: "id"})
	if err != nil {
		fmt.Println(err)
		return
	}
	products, err := tier.New("products", &tier.Options[int64, Product]{Policy: policy.WriteThrough(table)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer products.Close()

	fmt.Println(products.Set(ctx, 7, Product{ID: 7, Name: "Chair", Price: 49.5, Tags: []string{"wood"}}))
	fmt.Println(products.Get(ctx, 7))
	var name string
	fmt.Println(db.QueryRow(`SELECT name FROM products WHERE id = 7`).Scan(&name), name)
	_, err = products.Get(ctx, 8)
	fmt.Println(errors.Is(err, tier.ErrNotFound))
	// Output:
	// <nil>
	// {7 Chair 49.5 [wood]} <nil>
	// <nil> Chair
	// true
}

// Changes that were written behind carry versions: what comes twice, or after a newer one, does no harm.
func ExampleSource_StoreMany() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE products (id bigint PRIMARY KEY, name text, price real, tags text,
		version bigint NOT NULL DEFAULT 0, deleted boolean NOT NULL DEFAULT FALSE)`)
	if err != nil {
		fmt.Println(err)
		return
	}
	table, err := sqlstore.New[int64, Product](db, sqlstore.SQLite, &sqlstore.Options{
		Table: "products", Key: "id", Version: "version", Deleted: "deleted",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	type changes = []policy.Change[int64, Product]
	created := changes{{Key: 7, Value: Product{ID: 7, Name: "Chair"}, Version: 1001}}
	fmt.Println(table.StoreMany(ctx, created))
	fmt.Println(table.StoreMany(ctx, changes{{Key: 7, Delete: true, Version: 1002}}))
	fmt.Println(table.StoreMany(ctx, created)) // again, late
	fmt.Println(table.Load(ctx, 7))
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// {0  0 []} not found
}
