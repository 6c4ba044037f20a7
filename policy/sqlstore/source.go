package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/strata-cache/strata/policy"
)

// A Source reads and writes rows of a database as values of a cache. It is a [policy.Source], [policy.BatchLoader],
// [policy.Refresher] and [policy.BatchStore], and may be used concurrently. It owns nothing: the caller closes the database.
type Source[K comparable, V any] struct {
	db     *sql.DB
	d      Dialect
	name   string // for errors
	schema schema[K, V]
}

// A schema knows the SQL.
type schema[K comparable, V any] interface {
	reads(keys []K) ([]Statement, error)
	read(rows *sql.Rows) (K, policy.Answer[V], error)
	writes(changes []policy.Change[K, V]) ([]Statement, error)
	check() (Statement, error)
}

// New returns a source on a table whose columns are the tagged fields of V, a struct or a pointer to one:
//
//	type Product struct {
//		Name  string    `db:"name"`
//		Tags  []string  `db:"tags,json"`         // encoded
//		Added time.Time `db:"added,readonly"`    // read, and left to the database
//		cost  int                                // not exported: not stored
//		Note  string    `db:"-"`                 // not stored
//	}
//
// K is an integer, a string, a type that is a [sql.Scanner] and a [driver.Valuer], or a struct of such fields with tags, for a key of
// several columns. V may have fields for the columns of the key, which must agree with the key that a value is stored under, and for
// those of Options.Version and Deleted, which are read and never written from there.
//
// It asks the database nothing; [Source.Check] does. An error names all that is wrong with the arguments.
func New[K comparable, V any](db *sql.DB, d Dialect, o *Options) (*Source[K, V], error) {
	var p problems
	if db == nil {
		p.add("no database")
	}
	if o == nil {
		o = &Options{}
	}
	t := newTable[K, V](d, *o, &p)
	if err := p.err(); err != nil {
		return nil, fmt.Errorf("sqlstore: New[%v, %v]:\n%w", reflect.TypeFor[K](), reflect.TypeFor[V](), err)
	}
	return &Source[K, V]{db: db, d: d, name: o.Table, schema: t}, nil
}

// Check asks the database whether the table and all columns are there, for a start that is to fail early. A nil error says no more
// than that they can be read.
func (s *Source[K, V]) Check(ctx context.Context) error {
	q, err := s.schema.check()
	if err == nil {
		var rows *sql.Rows
		if rows, err = s.db.QueryContext(ctx, q.Query, q.Args...); err == nil {
			err = errors.Join(rows.Err(), rows.Close())
		}
	}
	if err != nil {
		return &Error{Op: "check", Table: s.name, Err: err}
	}
	return nil
}

// Load reads the value of key, or returns [policy.ErrNotFound].
func (s *Source[K, V]) Load(ctx context.Context, key K) (V, error) {
	a := s.Refresh(ctx, key, nil)
	return a.Value, a.Err
}

// Refresh reads the value of key with its version. It does not use held.
func (s *Source[K, V]) Refresh(ctx context.Context, key K, _ *policy.Answer[V]) policy.Answer[V] {
	answers, err := s.LoadMany(ctx, []K{key})
	if err != nil {
		return policy.Answer[V]{Err: err}
	}
	return answers[0]
}

// LoadMany reads the values of keys, in their order, with their versions, by one query, or some where one would have too many parameters.
func (s *Source[K, V]) LoadMany(ctx context.Context, keys []K) ([]policy.Answer[V], error) {
	answers := make([]policy.Answer[V], len(keys))
	at := make(map[K]int, len(keys))
	for i, key := range keys {
		answers[i].Err = policy.ErrNotFound
		at[key] = i
	}
	statements, err := s.schema.reads(keys)
	for i := 0; err == nil && i < len(statements); i++ {
		err = s.load(ctx, statements[i], at, answers)
	}
	if err != nil {
		return nil, &Error{Op: "load", Table: s.name, Err: err}
	}
	return answers, nil
}

func (s *Source[K, V]) load(ctx context.Context, q Statement, at map[K]int, answers []policy.Answer[V]) (err error) {
	rows, err := s.db.QueryContext(ctx, q.Query, q.Args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		key, a, err := s.schema.read(rows)
		if err != nil {
			return err
		}
		i, ok := at[key]
		if !ok {
			return errForeign
		}
		answers[i] = a
	}
	return rows.Err()
}

// Store makes the row of key have value, whatever its version, which grows by one.
func (s *Source[K, V]) Store(ctx context.Context, key K, value V) error {
	return s.StoreMany(ctx, []policy.Change[K, V]{{Key: key, Value: value}})
}

// Delete deletes the row of key, whatever its version, or marks it as deleted. That there was none is no error.
func (s *Source[K, V]) Delete(ctx context.Context, key K) error {
	return s.StoreMany(ctx, []policy.Change[K, V]{{Key: key, Delete: true}})
}

// StoreMany makes all changes in one transaction, or none: by one statement for those that store and one for those that delete, or a few
// where one would have too many parameters or bytes, and in PostgreSQL up to three of round numbers of rows, so that not every size of
// a batch is a statement to prepare. A change that has a version is made where the row has a smaller one, or is not
// there. An error is an [*Error].
func (s *Source[K, V]) StoreMany(ctx context.Context, changes []policy.Change[K, V]) error {
	if len(changes) == 0 {
		return nil
	}
	statements, err := s.schema.writes(changes)
	failed := (*Error)(nil)
	if err != nil {
		failed = &Error{NotWritten: true, Err: err}
	} else {
		failed = transact(ctx, s.db, s.d, statements)
	}
	if failed == nil {
		return nil
	}
	failed.Op, failed.Table = "write", s.name
	return failed
}

const errForeign = plain("the database answered with a key that was not asked for: key columns must compare as Go does, by case and spaces too")
