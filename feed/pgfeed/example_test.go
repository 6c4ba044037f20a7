package pgfeed_test

import (
	"context"
	"fmt"
	"log"

	"github.com/strata-cache/strata/feed"
	"github.com/strata-cache/strata/feed/pgfeed"
)

// printer is a handler. One of a cache calls Invalidate, as the example of package feed does.
type printer struct{}

func (printer) Changed(_ context.Context, changes []feed.Change) error {
	for _, c := range changes {
		fmt.Println(c.Op, c.Table, c.Columns["id"])
	}
	return nil
}

func (printer) Missed(context.Context) error {
	fmt.Println("anything may have changed")
	return nil
}

// It needs a server, so it is compiled and not run; the tests run the same.
func ExampleNewOutbox() {
	outbox, err := pgfeed.NewOutbox("postgres://app@localhost/shop", "printer", printer{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(outbox.Run(context.Background()))
}

// What a migration runs. It names the columns by which a row is told.
func ExampleWatchSQL() {
	sql, err := pgfeed.WatchSQL("", "products", "id")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(sql)
	// Output:
	// SELECT "id" FROM "products" LIMIT 0;
	// DROP TRIGGER IF EXISTS "strata_record" ON "products";
	// DROP TRIGGER IF EXISTS "strata_record_all" ON "products";
	// CREATE TRIGGER "strata_record" AFTER INSERT OR UPDATE OR DELETE ON "products"
	// 	FOR EACH ROW EXECUTE FUNCTION "strata".record(E'products', E'id');
	// CREATE TRIGGER "strata_record_all" AFTER TRUNCATE ON "products"
	// 	FOR EACH STATEMENT EXECUTE FUNCTION "strata".record(E'products');
	// ALTER TABLE "products" ENABLE ALWAYS TRIGGER "strata_record";
	// ALTER TABLE "products" ENABLE ALWAYS TRIGGER "strata_record_all";
}
