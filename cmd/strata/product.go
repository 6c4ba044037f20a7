package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/strata-cache/strata/tier"
)

// product is what the demo caches: a row of a table.
type product struct {
	ID      int64
	Name    string
	Cents   int64
	Version int64 // grows with every change of the row
}

// productTable is the demo's source: a table in an embedded database, made slow.
type productTable struct {
	db    *sql.DB
	delay time.Duration // of each read
}

// openProducts opens the database in a file, which several processes may do.
func openProducts(path string, delay time.Duration) (*productTable, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	return &productTable{db: db, delay: delay}, nil
}

// create makes the table with n products.
func (t *productTable) create(ctx context.Context, n int) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL, version INTEGER NOT NULL)`); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO product VALUES (?, ?, ?, 1)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for id := range n {
		if _, err := insert.ExecContext(ctx, id, fmt.Sprintf("Product %d", id), 100+id%9900); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Load reads one product, slowly.
func (t *productTable) Load(ctx context.Context, id int64) (product, error) {
	pause := time.NewTimer(t.delay)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return product{}, ctx.Err()
	case <-pause.C:
	}
	var p product
	err := t.db.QueryRowContext(ctx, `SELECT id, name, cents, version FROM product WHERE id = ?`, id).Scan(&p.ID, &p.Name, &p.Cents, &p.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("product %d: %w", id, tier.ErrNotFound)
	}
	return p, err
}

// change gives a product another price and returns its new version.
func (t *productTable) change(ctx context.Context, id int64) (version int64, err error) {
	err = t.db.QueryRowContext(ctx, `UPDATE product SET cents = cents + 1, version = version + 1 WHERE id = ? RETURNING version`, id).Scan(&version)
	return version, err
}

func (t *productTable) Close() error { return t.db.Close() }
