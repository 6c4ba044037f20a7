// Package feed says how a database tells of its own changes, so that a cache hears of writes that did not come through it.
//
//	func (p products) Changed(ctx context.Context, changes []feed.Change) error {
//		ids := make([]int, 0, len(changes))
//		for _, c := range changes {
//			id, err := strconv.Atoi(c.Columns["id"])
//			if err != nil {
//				return p.cache.Clear(ctx) // TRUNCATE, or a change that could not be told
//			}
//			ids = append(ids, id)
//		}
//		return p.cache.Invalidate(ctx, ids...)
//	}
//	func (p products) Missed(ctx context.Context) error { return p.cache.Clear(ctx) }
//
// feed/pgfeed reads the changes of PostgreSQL. docs/feeds.md tells what each kind of feed promises.
package feed

import "context"

// Op is what was done to a row.
type Op string

// The operations. An update that changes the columns which identify a row is two changes: of the row that was, and of the row that
// is.
const (
	Insert   Op = "insert"
	Update   Op = "update"
	Delete   Op = "delete"
	Truncate Op = "truncate" // of the whole table
)

// Change is a committed change of a row.
type Change struct {
	// Table is the table's name with its schema, as it was given when the table was watched.
	Table string

	// Op is what was done.
	Op Op

	// Columns are those which identify the row, as text; one that is NULL is missing. None, with any Op, means that all
	// rows of the table may have changed.
	Columns map[string]string
}

// Handler is who hears of changes. Its methods are called by one goroutine at a time.
//
// Both must return only when what they are told has taken effect, and be harmless when called again for the same: a feed
// repeats what was not acknowledged by a nil error, also after a crash. A panic counts as an error.
type Handler interface {
	// Changed tells of changes, in the order of their commits where one transaction saw another's; at least one.
	Changed(ctx context.Context, changes []Change) error

	// Missed says that changes may have been missed: of any row, of any table. Usually it clears the caches.
	Missed(ctx context.Context) error
}
