// Package sqlstore makes a table of PostgreSQL, MariaDB or SQLite the source of a cache, on database/sql with whichever driver the
// program takes:
//
//	type Product struct {
//		ID   int64  `db:"id"`
//		Name string `db:"name"`
//	}
//
//	table, err := sqlstore.New[int64, Product](db, sqlstore.Postgres, &sqlstore.Options{Table: "products", Key: "id"})
//	products, err := tier.New("products", &tier.Options[int64, Product]{Policy: policy.WriteThrough(table)})
//
// Keys and values come from structs with tags ([New]) or from SQL of the program's own ([FromSQL]). Names become quoted identifiers,
// values become parameters, and nothing else comes into a statement.
//
// # Reading
//
// Many keys are read by one query. A key without a row is [policy.ErrNotFound]; what a field cannot hold, NULL in a string for one, is
// an error that names the field: let such a field be a pointer, or a [database/sql.Null]. A row whose key is not, byte for byte, one
// that was asked for is an error too: where the database takes "a" and "A" for one key, a cache with two entries would be wrong.
//
// # Writing
//
// A batch is one transaction: all of it or nothing. It is one statement for what is stored and one for what is deleted, and more only
// where the database's limits on parameters and packets ask for it, or PostgreSQL's memory for prepared statements. Rows are written in the order of their keys, and a transaction that
// the server undoes because of another, as in a deadlock, is tried again a few times.
//
// An error before COMMIT is sent is [policy.ErrNotWritten], whatever its cause: a server that is not there, a constraint, a lock that was
// waited for in vain. After that it is so only by the word of the server; a connection that is lost at this moment leaves it open.
//
// # Versions
//
// With Options.Version, the table has a bigint for the version of each row, which [policy.Change] explains:
//
//   - A change that has a version, as all that is written behind, is made only where the row has a smaller one or is not there. What comes
//     a second time, or after something newer, is left alone, and that is no error.
//   - A change without one, as all that is written through, is made always, and the row's version grows by one.
//
// A deleted row takes its version with it: an older change that comes later brings the row back. With Options.Deleted the row stays,
// marked, and it does not. Whoever writes behind and deletes should have that column.
//
// Others who write the table should let the version grow, in the statement that changes the row.
//
// Versions are below 2⁶³: those of journals, milliseconds since 1970 times 2²⁰, are so until the year 2248.
//
// # Schemas
//
// docs/sqlstore.md has the tables and settings that each database needs, and what is promised on each.
package sqlstore
