package sqlstore_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/sqlstore"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

type scanOnly struct{}

func (s *scanOnly) Scan(any) error { return nil }

func TestNewNamesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	type bad struct {
		A    string   `db:"same"`
		B    string   `db:"same"`
		c    string   `db:"c"`
		D    string   `db:""`
		E    chan int `db:"e"`
		F    string   `db:"f,primary"`
		G    string
		H    scanOnly `db:"h"`
		I    []string `db:"i"`
		Good string   `db:"good"`
	}
	_ = bad{}.c
	type keyed struct {
		A string    `db:"a"`
		B float64   `db:"b"`
		C time.Time `db:"c"`
	}
	type ok struct {
		A string `db:"a"`
	}
	check := func(err error, want ...string) {
		t.Helper()
		if err == nil {
			t.Error("no error")
			return
		}
		for _, w := range want {
			if !contains(err.Error(), w) {
				t.Errorf("no %q in:\n%v", w, err)
			}
		}
	}
	_, err := sqlstore.New[int64, bad](db, 0, &sqlstore.Options{Deleted: "d", Schema: "a\x00b"})
	check(err, "dialect", "Table is empty", "Key is empty", "Deleted needs Version", `"a\x00b" has a NUL`, `bad.A and`, "bad.c is tagged and not exported",
		"bad.D: the column's name \"\" is empty", "bad.E: chan int is no type", `bad.F: no option "primary"`, "bad.G has no tag",
		"bad.H: sqlstore_test.scanOnly is a sql.Scanner and no driver.Valuer", "bad.I: []string is no type")
	if contains(err.Error(), "bad.Good") {
		t.Error(err)
	}
	_, err = sqlstore.New[keyed, ok](db, sqlstore.SQLite, &sqlstore.Options{Table: "t", Key: "x"})
	check(err, `Key "x"`, "keyed.B: float64 cannot be a key", "keyed.C: time.Time cannot be a key")
	_, err = sqlstore.New[float64, int](db, sqlstore.SQLite, &sqlstore.Options{Table: "t", Key: "x", Version: "x"})
	check(err, "float64 cannot be a key", "name a column twice", "value int is no struct")
	_, err = sqlstore.New[time.Time, struct{}](db, sqlstore.SQLite, &sqlstore.Options{Table: "t", Key: "x", Version: "v", IgnoreVersions: true})
	check(err, "time.Time cannot be a key", "no tagged fields", "IgnoreVersions contradicts")
	_, err = sqlstore.New[struct{ A int }, ok](nil, sqlstore.SQLite, nil)
	check(err, "no database", "has no tag", "without tagged fields")
	_, err = sqlstore.New[any, ok](db, sqlstore.SQLite, &sqlstore.Options{Table: "t ", Key: "x"})
	check(err, "interface {} cannot be a key", "ends with a space")
	_, err = sqlstore.FromSQL[int, ok](nil, 9, nil)
	check(err, "no database", "dialect", "Name is empty", "Read and Row")
}

func TestCheckNamesWhatTheDatabaseDoesNotHave(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database) {
		db.create(t, "words", wordTable)
		type other struct {
			Text string `db:"txet"`
		}
		for _, o := range []sqlstore.Options{
			{Table: "words", Key: "id"}, {Table: "sword", Key: "id"}, {Table: "words", Key: "di"},
			{Table: "words", Key: "id", Version: "noisrev"},
		} {
			o.Schema = db.schema
			if o.Key == "id" && o.Table == "words" && o.Version == "" {
				s, err := sqlstore.New[int64, other](db.DB, db.dialect, &o)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Check(t.Context()); err == nil || !contains(err.Error(), "txet") {
					t.Error(err)
				}
				continue
			}
			s, err := sqlstore.New[int64, word](db.DB, db.dialect, &o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err == nil || !(contains(err.Error(), "sword") || contains(err.Error(), "di") || contains(err.Error(), "noisrev")) {
				t.Error(err)
			}
		}
	})
}

func TestDialectsHaveNames(t *testing.T) {
	t.Parallel()
	if sqlstore.Postgres.String() != "PostgreSQL" || sqlstore.Dialect(9).String() != "no dialect" {
		t.Error(sqlstore.Postgres)
	}
	var _ *sql.DB
}
