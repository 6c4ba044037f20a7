// Policies is one program under three policies. It changes prices, and tells what its cache and its table have, when:
//
//	go run ./examples/policies
//	STRATA_CACHES_PRODUCTS_MODE=write-behind go run ./examples/policies
//	STRATA_CACHES_PRODUCTS_MODE=cache-aside go run ./examples/policies
//
// The variable takes the place of one line in strata.yaml, which may as well be changed there. The table is one of SQLite, so no server
// is needed; with JOURNAL=file:///tmp/example.journal, or redis://…, what is written behind survives
// this process until the table has it.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	_ "modernc.org/sqlite"

	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
	"github.com/strata-cache/strata/policy/sqlstore"
	"github.com/strata-cache/strata/tier"
)

// The columns version and deleted let the table leave alone what comes late or twice, as it may when it is written behind.
const schema = `
CREATE TABLE products (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL DEFAULT '',
	cents   INTEGER NOT NULL DEFAULT 0,
	version BIGINT NOT NULL DEFAULT 0,
	deleted BOOLEAN NOT NULL DEFAULT FALSE
);
INSERT INTO products (id, name, cents) VALUES (1, 'teapot', 2900), (2, 'cup', 700), (3, 'kettle', 4500)`

// A Product is a row.
type Product struct {
	Name  string `db:"name"`
	Cents int64  `db:"cents"`
}

func main() {
	file := flag.String("config", "examples/policies/strata.yaml", "the configuration")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *file); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, file string) error {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // a database in memory is that of one connection
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	table, err := sqlstore.New[int64, Product](db, sqlstore.SQLite,
		&sqlstore.Options{Table: "products", Key: "id", Version: "version", Deleted: "deleted"})
	if err != nil {
		return err
	}

	set, products, err := open(ctx, file, table)
	if err != nil {
		return err
	}
	defer set.Close()
	if err := sale(ctx, products, 1, 2, 3); err != nil {
		return err
	}
	for _, id := range []int64{1, 2, 3} {
		cached, err := products.Get(ctx, id)
		if err != nil {
			return err
		}
		stored, err := table.Load(ctx, id)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: the cache has %d, the table has %d\n", cached.Name, cached.Cents, stored.Cents)
	}
	if err := set.Close(); err != nil { // under write-behind the table has everything now, or the error tells what is left, and where
		return err
	}
	for _, id := range []int64{1, 2, 3} {
		stored, err := table.Load(ctx, id)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: after Close the table has %d\n", stored.Name, stored.Cents)
	}
	return nil
}

// open makes the cache that the file describes before a table. Nothing here depends on its mode.
func open(ctx context.Context, file string, table policy.Source[int64, Product]) (*config.Set, *tier.Cache[int64, Product], error) {
	set, err := config.Load(ctx, file, config.Drivers{Journals: map[string]config.JournalOpener{
		"memory": func(context.Context, string, config.Client) (journal.Journal, error) { return memjournal.New(), nil },
		"file": func(_ context.Context, url string, _ config.Client) (journal.Journal, error) {
			path, o, err := filejournal.ParseURL(url)
			if err != nil {
				return nil, err
			}
			return filejournal.Open(path, o)
		},
		"redis": func(ctx context.Context, url string, _ config.Client) (journal.Journal, error) {
			return redisjournal.Open(ctx, url, nil)
		},
	}})
	if err != nil {
		return nil, nil, err
	}
	products, err := config.Cache(set, "products", config.Source[int64, Product](table))
	if err != nil {
		set.Close()
		return nil, nil, err
	}
	return set, products, nil
}

// sale halves prices. It is the same under every policy, and each does with Set what it is for: cache-aside changes what is cached, and
// leaves the table to the application, as examples/sqlaside has it; write-through returns when the table has the price; write-behind
// returns when the journal has it.
func sale(ctx context.Context, products *tier.Cache[int64, Product], ids ...int64) error {
	for _, id := range ids {
		p, err := products.Get(ctx, id)
		if err != nil {
			return err
		}
		p.Cents /= 2
		if err := products.Set(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}
