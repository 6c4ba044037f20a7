// Sqlaside caches what SQL queries return: the orders of a customer, from PostgreSQL, behind Redis and the memory of two processes.
//
//	go run ./examples/sqlaside -postgres postgres://user:password@localhost/shop -redis redis://localhost:6379
//
// It makes the table example_orders, and drops it at the end. Here the two processes are two shops in one.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A Shop reads and writes orders.
type Shop struct {
	db      *sql.DB
	store   *backend.Store
	bus     *invalidation.Bus
	orders  *tier.Cache[int64, []Order] // by customer
	queries int                         // that this shop made; for people
}

// An Order is a row of the query.
type Order struct {
	ID    int64
	Item  string
	Cents int64
}

// Open returns a shop. It succeeds while Redis is down: then the database is asked for everything.
func Open(ctx context.Context, db *sql.DB, redisURL, version string) (*Shop, error) {
	s := &Shop{db: db}
	var err error
	if s.store, err = redis.Open(ctx, redisURL, nil); err != nil {
		return nil, err
	}
	if s.bus, err = redisbus.New(s.store, nil); err != nil {
		s.Close()
		return nil, err
	}
	s.orders, err = tier.New("orders", &tier.Options[int64, []Order]{
		Remote:  s.store,
		Bus:     s.bus,
		TTL:     10 * time.Minute,
		SoftTTL: time.Minute, // older ones are served once more, while the query runs behind
		Version: version,
		Policy:  policy.CacheAside(policy.LoaderFunc[int64, []Order](s.selectOrders)),
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close closes what Open opened, the last first.
func (s *Shop) Close() {
	if s.orders != nil {
		s.orders.Close()
	}
	if s.bus != nil {
		s.bus.Close()
	}
	s.store.Close()
}

// selectOrders is the query. A customer without orders has an answer as well, which is cached too.
func (s *Shop) selectOrders(ctx context.Context, customer int64) ([]Order, error) {
	s.queries++
	rows, err := s.db.QueryContext(ctx, `SELECT id, item, cents FROM example_orders WHERE customer = $1 ORDER BY id DESC LIMIT 10`, customer)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var orders []Order
	for rows.Next() {
		var o Order
		if err := rows.Scan(&o.ID, &o.Item, &o.Cents); err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

// Orders returns the last orders of a customer: from memory, else from Redis, else by the query, which one process makes for all.
func (s *Shop) Orders(ctx context.Context, customer int64) ([]Order, error) {
	return s.orders.Get(ctx, customer)
}

// Place writes an order. BeginWrite tells all processes before the transaction that what they have is about to change, and Commit tells
// them after it: if this process dies anywhere between, nobody is left with the old result.
func (s *Shop) Place(ctx context.Context, customer int64, item string, cents int64) error {
	w, err := s.orders.BeginWrite(ctx, customer)
	if err != nil {
		return err
	}
	defer w.Abort(ctx, nil) // does nothing after Commit
	_, err = s.db.ExecContext(ctx, `INSERT INTO example_orders (customer, item, cents) VALUES ($1, $2, $3)`, customer, item, cents)
	if err != nil {
		return err
	}
	return w.Commit(ctx)
}

func main() {
	postgres := flag.String("postgres", "postgres://postgres@localhost:5432/postgres", "where PostgreSQL is")
	redisURL := flag.String("redis", "redis://localhost:6379", "where Redis is")
	flag.Parse()
	db, err := sql.Open("pgx", *postgres)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, db, *redisURL, fmt.Sprint(time.Now().UnixNano())); err != nil {
		log.Fatal(err)
	}
}

// run lets one shop read, another write, and the first read again. A version of its own begins with an empty cache.
func run(ctx context.Context, out io.Writer, db *sql.DB, redisURL, version string) error {
	const table = `CREATE TABLE example_orders (id bigserial PRIMARY KEY, customer bigint NOT NULL, item text NOT NULL, cents bigint NOT NULL)`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return err
	}
	defer db.ExecContext(context.WithoutCancel(ctx), `DROP TABLE example_orders`)
	here, err := Open(ctx, db, redisURL, version)
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := Open(ctx, db, redisURL, version)
	if err != nil {
		return err
	}
	defer there.Close()
	// Only here: the process that reads waits until it has heard of the order. Otherwise it may be behind for tier.Options.MaxStaleness,
	// and what it loads while it hears of it is not kept.
	place := func(item string, cents int64) error {
		if err := there.Place(ctx, 7, item, cents); err != nil {
			return err
		}
		return here.bus.Ping(ctx)
	}
	if err := place("teapot", 2900); err != nil {
		return err
	}
	for range 1000 {
		if _, err := here.Orders(ctx, 7); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "1000 reads: %s\n", queries(here.queries))
	if err := place("cup", 700); err != nil {
		return err
	}
	orders, err := here.Orders(ctx, 7)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "after an order elsewhere: %d orders, the last one a %s; %s\n", len(orders), orders[0].Item, queries(here.queries))
	return nil
}

func queries(n int) string {
	if n == 1 {
		return "1 query"
	}
	return fmt.Sprintf("%d queries", n)
}
