// Catalogue serves products over HTTP: read through a cache, and written through it into PostgreSQL. Start it twice, and write at the one
// what you read at the other:
//
//	go run ./examples/catalogue -listen :8080 -postgres postgres://user:password@localhost/shop -redis redis://localhost:6379
//	curl -X PUT localhost:8080/products/42 -d '{"name": "teapot", "cents": 2900}'
//	curl localhost:8080/products/42
//	curl 'localhost:8080/products?id=42&id=43'
//	curl -X DELETE localhost:8080/products/42
//
// It makes the table example_products if there is none.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
	"github.com/strata-cache/strata/tier"
)

const schema = `
CREATE TABLE IF NOT EXISTS example_products (
	id      bigint PRIMARY KEY,
	name    text NOT NULL,
	cents   bigint NOT NULL,
	version bigint NOT NULL DEFAULT 0
)`

// A Product is a row.
type Product struct {
	Name  string `db:"name" json:"name"`
	Cents int64  `db:"cents" json:"cents"`
}

// A Catalogue is one process of the shop.
type Catalogue struct {
	store    *backend.Store
	bus      *invalidation.Bus
	products *tier.Cache[int64, Product]
}

// Open returns a catalogue on a database. It succeeds while Redis is down: then products come from the database.
func Open(ctx context.Context, db *sql.DB, redisURL, version string) (*Catalogue, error) {
	table, err := sqlstore.New[int64, Product](db, sqlstore.Postgres, &sqlstore.Options{Table: "example_products", Key: "id", Version: "version"})
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	c := new(Catalogue)
	if c.store, err = redis.Open(ctx, redisURL, nil); err != nil {
		return nil, err
	}
	if c.bus, err = redisbus.New(c.store, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.products, err = tier.New("products", &tier.Options[int64, Product]{
		Remote:      c.store,
		Bus:         c.bus,
		Policy:      policy.WriteThrough(table),
		TTL:         time.Hour,
		NegativeTTL: time.Minute, // "there is no such product" is an answer that is worth keeping, too
		Version:     version,
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close closes what Open opened, the last first.
func (c *Catalogue) Close() error {
	var errs []error
	if c.products != nil {
		errs = append(errs, c.products.Close())
	}
	if c.bus != nil {
		errs = append(errs, c.bus.Close())
	}
	return errors.Join(append(errs, c.store.Close())...)
}

// Handler serves the catalogue.
func (c *Catalogue) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", answer(c.get))
	mux.HandleFunc("GET /products", answer(c.list))
	mux.HandleFunc("PUT /products/{id}", answer(c.put))
	mux.HandleFunc("DELETE /products/{id}", answer(c.remove))
	return mux
}

func (c *Catalogue) get(r *http.Request) (any, error) {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return c.products.Get(r.Context(), id)
}

// list reads many products: what is not in memory in one request to Redis, and what is not there by one query.
func (c *Catalogue) list(r *http.Request) (any, error) {
	var ids []int64
	for _, text := range r.URL.Query()["id"] {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	found := map[int64]Product{}
	for i, e := range c.products.GetMany(r.Context(), ids) {
		switch {
		case e.Err == nil:
			found[ids[i]] = e.Value
		case !errors.Is(e.Err, tier.ErrNotFound):
			return nil, e.Err
		}
	}
	return found, nil
}

// put returns when the database has the product, and no process keeps the old one for longer than tier.Options.MaxStaleness.
func (c *Catalogue) put(r *http.Request) (any, error) {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var p Product
	if json.NewDecoder(r.Body).Decode(&p) != nil || p.Name == "" {
		return nil, errBad
	}
	return nil, written(c.products.Set(r.Context(), id, p))
}

func (c *Catalogue) remove(r *http.Request) (any, error) {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return nil, written(c.products.Delete(r.Context(), id))
}

// written is the error of a write to its caller. The database has what is ErrInvalidationPending, and the cache goes on telling the
// processes that it could not reach.
func written(err error) error {
	if errors.Is(err, tier.ErrInvalidationPending) {
		log.Print(err)
		return nil
	}
	return err
}

var errBad = errors.New("an id is a whole number, and a product has a name and cents")

func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errBad
	}
	return id, nil
}

// answer makes a handler of a function that returns what is to be sent, nil for nothing.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := f(r)
		switch {
		case errors.Is(err, tier.ErrNotFound):
			http.NotFound(w, r)
		case errors.Is(err, errBad):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			log.Print(err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		case body == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(body)
		}
	}
}

func main() {
	listen := flag.String("listen", "localhost:8080", "where to listen")
	postgres := flag.String("postgres", "postgres://postgres@localhost:5432/postgres", "where PostgreSQL is")
	redisURL := flag.String("redis", "redis://localhost:6379", "where Redis is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := sql.Open("pgx", *postgres)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	c, err := Open(ctx, db, *redisURL, "1")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: c.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { // ends with ListenAndServe
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	log.Print("listening on ", *listen)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Print(err)
	}
	if err := c.Close(); err != nil {
		log.Print(err)
	}
}
