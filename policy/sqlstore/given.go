package sqlstore

import (
	"database/sql"
	"slices"

	"github.com/strata-cache/strata/policy"
)

// A Statement is SQL with its parameters, as [sql.DB.ExecContext] takes it.
type Statement struct {
	Query string
	Args  []any
}

// SQL is a source in a program's own words, for what is no single table: joins, functions, other names of versions. Values belong into
// Args, never into the text. The functions are called concurrently.
type SQL[K comparable, V any] struct {
	// Name stands for the table in errors. Required.
	Name string

	// Read returns the query for the rows of keys, which are distinct. Required.
	Read func(keys []K) (Statement, error)

	// Row reads one row of it, by rows.Scan alone. What it says of version, TTL and tags is kept. Required.
	Row func(rows *sql.Rows) (K, policy.Answer[V], error)

	// Write returns the statements that make changes, which are executed in one transaction, in this order. They have to heed
	// [policy.Change]'s word on versions, and better lock rows in an order of the keys, so that nodes do not deadlock. An error says
	// that they cannot be made: nothing is written. Default: the source cannot be written.
	Write func(changes []policy.Change[K, V]) ([]Statement, error)

	// Most is how many keys Read is given at once. Default 1000.
	Most int
}

// FromSQL returns a source that works by given SQL.
func FromSQL[K comparable, V any](db *sql.DB, d Dialect, s *SQL[K, V]) (*Source[K, V], error) {
	var p problems
	if db == nil {
		p.add("no database")
	}
	if d < Postgres || d > SQLite {
		p.add("the dialect is none of Postgres, MariaDB and SQLite")
	}
	if s == nil {
		s = &SQL[K, V]{}
	}
	if s.Name == "" {
		p.add("SQL.Name is empty")
	}
	if s.Read == nil || s.Row == nil {
		p.add("SQL.Read and Row are required")
	}
	if s.Most < 0 {
		p.add("SQL.Most is negative")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	g := given[K, V]{*s}
	if g.Most == 0 {
		g.Most = 1000
	}
	return &Source[K, V]{db: db, d: d, name: s.Name, schema: g}, nil
}

type given[K comparable, V any] struct{ SQL[K, V] }

func (g given[K, V]) reads(keys []K) ([]Statement, error) {
	var out []Statement
	for chunk := range slices.Chunk(keys, g.Most) {
		s, err := g.Read(chunk)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (g given[K, V]) read(rows *sql.Rows) (K, policy.Answer[V], error) { return g.Row(rows) }

func (g given[K, V]) writes(changes []policy.Change[K, V]) ([]Statement, error) {
	if g.Write == nil {
		return nil, plain("SQL.Write is nil: this source is read only")
	}
	return g.Write(changes)
}

// check asks for the row of the zero key.
func (g given[K, V]) check() (Statement, error) {
	var zero K
	return g.Read([]K{zero})
}
