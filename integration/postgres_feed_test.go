package integration_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strata-cache/strata/feed"
	"github.com/strata-cache/strata/feed/pgfeed"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// rows is a table as a source, and what its feed's handler does to a cache.
type rows struct {
	url   string
	cache *tier.Cache[int, int]

	mu   sync.Mutex
	conn *pgx.Conn // guarded by mu; nil: to be made
}

func (r *rows) Load(ctx context.Context, id int) (version int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		if r.conn, err = pgx.Connect(ctx, r.url); err != nil {
			return 0, err
		}
	}
	err = r.conn.QueryRow(ctx, "SELECT version FROM products WHERE id = $1", id).Scan(&version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = tier.ErrNotFound
	case err != nil:
		_ = r.conn.Close(context.Background())
		r.conn = nil
	}
	return version, err
}

func (r *rows) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close(context.Background())
	}
}

func (r *rows) Changed(ctx context.Context, changes []feed.Change) error {
	var ids []int
	for _, c := range changes {
		id, err := strconv.Atoi(c.Columns["id"])
		if err != nil {
			return r.Missed(ctx)
		}
		ids = append(ids, id)
	}
	return r.cache.Invalidate(ctx, ids...)
}

func (r *rows) Missed(ctx context.Context) error { return r.cache.Clear(ctx) }

const products = 20

// foreign is a program that writes to the database and knows of no cache.
type foreign struct {
	url  string
	conn *pgx.Conn
}

// insist does something at the database until it is done there.
func (f *foreign) insist(t testing.TB, sql string, args ...any) {
	t.Helper()
	eventually(t, sql, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if f.conn == nil {
			var err error
			if f.conn, err = pgx.Connect(ctx, f.url); err != nil {
				return false
			}
		}
		if _, err := f.conn.Exec(ctx, sql, args...); err != nil {
			f.close()
			return false
		}
		return true
	})
}

func (f *foreign) close() {
	if f.conn != nil {
		_ = f.conn.Close(context.Background())
		f.conn = nil
	}
}

// A foreign program writes to the table of a cache that never expires. The cache hears of each change, through kills of the feed's
// connection, of the database, and of whoever reads the feed.
func TestACacheHearsOfWhatAForeignProgramWritesToPostgres(t *testing.T) {
	t.Parallel()
	db, remote := servertest.Postgres(t), servertest.Redis(t)
	setup, err := pgfeed.SetupSQL("")
	must(t, err)
	watch, err := pgfeed.WatchSQL("", "products", "id")
	must(t, err)
	program := &foreign{url: db.URL()}
	t.Cleanup(program.close)
	program.insist(t, setup+"CREATE TABLE products (id int PRIMARY KEY, version int NOT NULL);"+watch)
	program.insist(t, fmt.Sprintf("INSERT INTO products SELECT i, 0 FROM generate_series(0, %d) i", products-1))

	var nodes []*rows
	for range 2 {
		r := &rows{url: db.URL()}
		store := openStore(t, remote.URL()+patient)
		bus, err := redisbus.New(store, nil)
		must(t, err)
		t.Cleanup(func() { bus.Close() })
		r.cache, err = tier.New("products", &tier.Options[int, int]{
			Remote: store, Bus: bus, MaxStaleness: maxStaleness, TTL: time.Hour, Policy: policy.CacheAside(r),
		})
		must(t, err)
		t.Cleanup(func() { r.cache.Close(); r.close() })
		eventually(t, "trusted", func() bool { return r.cache.Stats().Trusted })
		nodes = append(nodes, r)
	}
	consume := func(r *rows) (stop func()) {
		b, err := pgfeed.NewOutbox(db.URL(), "cache", r, &pgfeed.Options{Interval: 200 * time.Millisecond})
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		run.Go(func() { _ = b.Run(ctx) }) // ends with ctx
		stop = sync.OnceFunc(func() { cancel(); run.Wait() })
		t.Cleanup(stop)
		return stop
	}
	stops := []func(){consume(nodes[0]), consume(nodes[1])} // one reads, the other stands by

	want := make([]int, products)
	current := func() bool { // all nodes serve what is in the table
		for _, r := range nodes {
			for id, version := range want {
				if got, err := r.cache.Get(t.Context(), id); err != nil || got != version {
					return false
				}
			}
		}
		return true
	}
	eventually(t, "all is cached", current)
	write := func(i int) {
		id := i % products
		want[id]++
		program.insist(t, "UPDATE products SET version = greatest(version, $2) WHERE id = $1", id, want[id])
	}

	// Calm: from the commit on, until no node serves the old value.
	var took []time.Duration
	for i := range 100 {
		write(i)
		began := time.Now()
		eventually(t, "the new value", func() bool {
			for _, r := range nodes {
				if got, err := r.cache.Get(t.Context(), i%products); err != nil || got != want[i%products] {
					return false
				}
			}
			return true
		})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("100 changes: no old value %v after the commit (median), %v (worst)", took[50], took[99])

	n := 0
	for round := range 6 {
		for range 20 {
			write(n)
			n++
		}
		switch round % 3 {
		case 0:
			must(t, db.Kill())
			must(t, db.Restart(t.Context()))
		case 1:
			program.insist(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strata'")
		case 2:
			i := (round / 3) % 2
			stops[i]()
			stops[i] = consume(nodes[i])
		}
		write(n)
		n++
	}
	eventually(t, "all nodes serve what is in the table", current)
	t.Logf("%d changes, 2 kills of the database, 2 of the feed's connection, 2 of the reader: none lost", n)
}
