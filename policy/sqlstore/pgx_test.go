//go:build pgx

package sqlstore_test

// Until go.mod has github.com/jackc/puddle/v2, which pgx's stdlib needs, the tests with PostgreSQL need -tags pgx.
import _ "github.com/jackc/pgx/v5/stdlib"
