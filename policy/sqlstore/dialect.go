package sqlstore

import (
	"strconv"
	"strings"
)

// A Dialect is the SQL that a database speaks. It says nothing of the driver.
type Dialect uint8

const (
	Postgres Dialect = iota + 1 // PostgreSQL 12 or newer
	MariaDB                     // MariaDB 10.5 or newer
	SQLite                      // SQLite 3.35 or newer
)

// String returns the database's name.
func (d Dialect) String() string {
	switch d {
	case Postgres:
		return "PostgreSQL"
	case MariaDB:
		return "MariaDB"
	case SQLite:
		return "SQLite"
	}
	return "no dialect"
}

// most is how many parameters a statement of the dialect may have.
func (d Dialect) most() int {
	if d == SQLite {
		return 32766
	}
	return 65535
}

// begin starts a transaction that is going to write.
func (d Dialect) begin() string {
	if d == SQLite {
		return "BEGIN IMMEDIATE" // waits for other writers here, where busy_timeout holds, and not at the first statement
	}
	return "BEGIN"
}

// quote returns name as an identifier, whatever it contains. Not by double quotes in SQLite, which takes those for a string where
// it knows no such column.
func (d Dialect) quote(name string) string {
	q := "`"
	if d == Postgres {
		q = `"`
	}
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// A query is a statement under construction. Identifiers come into it quoted, values as parameters alone.
type query struct {
	d    Dialect
	text strings.Builder
	args []any
}

// add appends SQL, in which each item is a string.
func (q *query) add(parts ...string) *query {
	for _, p := range parts {
		q.text.WriteString(p)
	}
	return q
}

// arg appends a parameter.
func (q *query) arg(value any) *query {
	q.args = append(q.args, value)
	if q.d != Postgres {
		return q.add("?")
	}
	return q.add("$", strconv.Itoa(len(q.args)))
}

// list appends what each of n appends, with separator between.
func (q *query) list(n int, separator string, each func(i int)) *query {
	for i := range n {
		if i > 0 {
			q.add(separator)
		}
		each(i)
	}
	return q
}

// tuple appends parameters in parentheses.
func (q *query) tuple(values []any) *query {
	return q.add("(").list(len(values), ", ", func(i int) { q.arg(values[i]) }).add(")")
}

func (q *query) statement() Statement { return Statement{Query: q.text.String(), Args: q.args} }
