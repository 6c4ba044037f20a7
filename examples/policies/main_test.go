package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/sqlstore"
)

func TestMain(m *testing.M) { servertest.Main(m) }

const line = "mode: write-through "

// configured is strata.yaml with another mode in its one line.
func configured(t *testing.T, mode string) (file string) {
	t.Helper()
	data, err := os.ReadFile("strata.yaml")
	if err != nil || strings.Count(string(data), line) != 1 {
		t.Fatalf("no single line %q: %v", line, err)
	}
	file = filepath.Join(t.TempDir(), "strata.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), line, "mode: "+mode+" ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A gate is the table, to which writes come when it is opened.
type gate struct {
	*sqlstore.Source[int64, Product]
	knocked chan struct{} // one for each request
	opened  chan struct{}
}

func (g *gate) pass(ctx context.Context) error {
	g.knocked <- struct{}{}
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return policy.ErrNotWritten
	}
}

func (g *gate) Store(ctx context.Context, id int64, p Product) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Source.Store(ctx, id, p)
}

func (g *gate) StoreMany(ctx context.Context, changes []policy.Change[int64, Product]) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Source.StoreMany(ctx, changes)
}

func newGate(t *testing.T) *gate {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	table, err := sqlstore.New[int64, Product](db, sqlstore.SQLite,
		&sqlstore.Options{Table: "products", Key: "id", Version: "version", Deleted: "deleted"})
	if err != nil {
		t.Fatal(err)
	}
	return &gate{table, make(chan struct{}, 100), make(chan struct{})}
}

// The table is held shut while the program changes a price: under cache-aside nobody knocks; under write-through the program waits,
// and has the price in the table when it goes on; under write-behind it does not wait, reads the price, and has it in the table at last.
func TestOneLineSwitchesThePolicy(t *testing.T) {
	t.Parallel()
	const old, halved = 2900, 1450
	for _, test := range []struct {
		mode              string
		waits             bool
		meanwhile, atLast int64 // what the table has
	}{
		{mode: "cache-aside", meanwhile: old, atLast: old},
		{mode: "write-through", waits: true, meanwhile: old, atLast: halved},
		{mode: "write-behind", meanwhile: old, atLast: halved},
	} {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			table := newGate(t)
			has := func(want int64, when string) {
				t.Helper()
				if p, err := table.Load(ctx, 1); err != nil || p.Cents != want {
					t.Errorf("%s the table has %d, want %d, error %v", when, p.Cents, want, err)
				}
			}
			set, products, err := open(ctx, configured(t, test.mode), table)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()

			sold := make(chan error, 1)
			go func() { sold <- sale(ctx, products, 1) }()
			if test.waits {
				<-table.knocked
				has(test.meanwhile, "while it is shut")
				select {
				case err := <-sold:
					t.Errorf("Set did not wait for the table: %v", err)
				default:
				}
				close(table.opened)
			}
			if err := <-sold; err != nil {
				t.Fatal(err)
			}
			if test.waits {
				has(test.atLast, "when Set has returned")
			} else {
				has(test.meanwhile, "while it is shut")
			}
			if p, err := products.Get(ctx, 1); err != nil || p.Cents != halved {
				t.Errorf("the cache has %d, %v", p.Cents, err)
			}
			if !test.waits {
				close(table.opened)
			}
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			has(test.atLast, "after Close")
			if knocks := len(table.knocked) > 0 || test.waits; knocks != (test.atLast == halved) {
				t.Errorf("the table was written: %t", knocks)
			}
		})
	}
}

// The program as it is.
func TestTheProgramRuns(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), &out, "strata.yaml"); err != nil {
		t.Fatal(err)
	}
	const want = `teapot: the cache has 1450, the table has 1450
cup: the cache has 350, the table has 350
kettle: the cache has 2250, the table has 2250
teapot: after Close the table has 1450
cup: after Close the table has 350
kettle: after Close the table has 2250
`
	if out.String() != want {
		t.Errorf("it printed:\n%s", out.String())
	}
}
