package main

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestTheProgramRuns(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", "postgres://postgres@"+servertest.SharedPostgres(t).Addr()+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out strings.Builder
	if err := run(t.Context(), &out, db, servertest.SharedRedis(t).URL()+"?timeout=10s", servertest.Key(t)); err != nil {
		t.Fatal(err)
	}
	const want = "1000 reads: 1 query\nafter an order elsewhere: 2 orders, the last one a cup; 2 queries\n"
	if out.String() != want {
		t.Errorf("it printed:\n%s", out.String())
	}
}
