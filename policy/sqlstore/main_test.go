package sqlstore_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/sqlstore"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A database is an empty schema of one of the databases.
type database struct {
	*sql.DB
	dialect sqlstore.Dialect
	schema  string
}

var opens = map[sqlstore.Dialect]func(testing.TB) *sql.DB{
	sqlstore.Postgres: func(t testing.TB) *sql.DB { return openPostgresAt(t, servertest.SharedPostgres(t).Addr()) },
	sqlstore.MariaDB:  func(t testing.TB) *sql.DB { return openMariaDBAt(t, servertest.SharedMariaDB(t).Addr()) },
	sqlstore.SQLite:   openSQLite,
}

// each runs the test on each database, in a schema of its own.
func each(t *testing.T, test func(t *testing.T, db *database)) {
	t.Helper()
	for d, open := range opens {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			test(t, inSchema(t, d, open(t)))
		})
	}
}

func inSchema(t testing.TB, d sqlstore.Dialect, pool *sql.DB) *database {
	t.Helper()
	db := &database{DB: pool, dialect: d}
	if d == sqlstore.SQLite {
		return db // each is a file of its own
	}
	db.schema = "it's `a` \"schema\"; " + servertest.Key(t)[len(servertest.Key(t))-12:]
	db.must(t, "CREATE SCHEMA "+db.quote(db.schema))
	return db
}

func openPostgresAt(t testing.TB, addr string) *sql.DB {
	t.Helper()
	return openDB(t, "pgx", "postgres://postgres@"+addr+"/postgres?sslmode=disable")
}

func openMariaDBAt(t testing.TB, addr string) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.DBName, c.ParseTime = "tcp", addr, "root", "strata", true
	c.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	servertest.Require(t, err)
	return closing(t, sql.OpenDB(connector))
}

func openSQLite(t testing.TB) *sql.DB {
	t.Helper()
	return openDB(t, "sqlite", "file:"+url.PathEscape(filepath.Join(t.TempDir(), "test.db"))+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
}

func openDB(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	servertest.Require(t, err)
	return closing(t, db)
}

func closing(t testing.TB, db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(16)
	t.Cleanup(func() { db.Close() })
	return db
}

func (db *database) must(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// quote is another implementation than that under test.
func (db *database) quote(name string) string {
	q := `"`
	if db.dialect == sqlstore.MariaDB {
		q = "`"
	}
	return q + strings.Join(strings.Split(name, q), q+q) + q
}

// named returns the name of the table in the schema.
func (db *database) named(table string) string {
	if db.schema == "" {
		return db.quote(table)
	}
	return db.quote(db.schema) + "." + db.quote(table)
}

// create makes a table. Of the columns' types, those in braces are written in the database's words.
func (db *database) create(t testing.TB, table, columns string) {
	t.Helper()
	words := map[sqlstore.Dialect][]string{
		sqlstore.Postgres: {"{bytes}", "bytea", "{time}", "timestamptz(6)", "{json}", "jsonb", "{text}", "text", "{key}", "text"},
		sqlstore.MariaDB:  {"{bytes}", "longblob", "{time}", "datetime(6)", "{json}", "json", "{text}", "longtext", "{key}", "varchar(255)"},
		sqlstore.SQLite:   {"{bytes}", "blob", "{time}", "timestamp", "{json}", "text", "{text}", "text", "{key}", "text"},
	}
	db.must(t, fmt.Sprintf("CREATE TABLE %s (%s)", db.named(table), strings.NewReplacer(words[db.dialect]...).Replace(columns)))
}

// source returns a source on a table in the schema.
func source[K comparable, V any](t testing.TB, db *database, o sqlstore.Options) *sqlstore.Source[K, V] {
	t.Helper()
	o.Schema = db.schema
	s, err := sqlstore.New[K, V](db.DB, db.dialect, &o)
	servertest.Require(t, err)
	servertest.Require(t, s.Check(t.Context()))
	return s
}

// patience is ten times what anything here takes.
const patience = 20 * time.Second
