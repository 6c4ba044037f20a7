package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"

	"github.com/strata-cache/strata/policy"
)

// An Error is what went wrong between a [Source] and its database. It is [policy.ErrNotWritten] where the database surely has none of
// what was asked for, and will not, and also [policy.ErrRejected] where the database refuses the values as such. Its text has no values of rows and keys, which drivers and databases like to quote: it names a
// failed statement by its SQLSTATE where there is one. Err has the rest.
type Error struct {
	Op         string // "load", "write" or "check"
	Table      string
	Step       string // "connect", "begin", "statement", "commit", "row"; "" before any
	NotWritten bool   // it is policy.ErrNotWritten
	Err        error  // the driver's, as it came
}

// Error says what failed, where, and whether it may have been done nevertheless.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sqlstore: " + e.Op + " " + e.Table + ": ")
	if e.Step != "" {
		b.WriteString(e.Step + ": ")
	}
	b.WriteString(describe(e.Err))
	switch {
	case e.NotWritten:
		b.WriteString(" (not written)")
	case e.Op == "write":
		b.WriteString(" (perhaps written)")
	}
	return b.String()
}

// Unwrap returns Err, and policy.ErrNotWritten or ErrRejected.
func (e *Error) Unwrap() []error {
	if e.NotWritten && (e.Step == "" && e.Err != errNoColumn || rejects(e.Err)) {
		return []error{e.Err, policy.ErrRejected}
	}
	if e.NotWritten {
		return []error{e.Err, policy.ErrNotWritten}
	}
	return []error{e.Err}
}

// hidden is an error whose text may hold values.
type hidden struct{ error }

func (h hidden) Error() string { return fmt.Sprintf("%T, whose text may hold values", h.error) }
func (h hidden) Unwrap() error { return h.error }

// plain is an error of ours, which has no values.
type plain string

func (p plain) Error() string { return string(p) }

// describe returns the text of err where that surely has no values, else what else is known of it.
func describe(err error) string {
	var network net.Error
	var numbered interface{ Code() int }
	var ours plain
	var covered hidden
	switch state, number := serverError(err); {
	case state != "":
		switch state[:2] {
		case "22", "23", "P0", "45", "HY": // of values, or who knows of what
			if number != 0 {
				return fmt.Sprintf("error %d, SQLSTATE %s", number, state)
			}
			return "SQLSTATE " + state
		}
		return err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &network), errors.As(err, &numbered), // SQLite's texts name tables and columns
		errors.As(err, &ours), errors.As(err, &covered):
		return err.Error()
	}
	return hidden{err}.Error()
}

// serverError returns the SQLSTATE of a server's error, "" if it is none, and its number where it has one. The driver for MariaDB has
// both in fields, and no method tells them.
func serverError(err error) (state string, number uint64) {
	var tells interface{ SQLState() string }
	if errors.As(err, &tells) {
		if state = tells.SQLState(); len(state) == 5 {
			return state, 0
		}
		return "", 0
	}
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct {
			continue
		}
		f, n := v.FieldByName("SQLState"), v.FieldByName("Number")
		if f.IsValid() && f.Type() == reflect.TypeFor[[5]byte]() && n.IsValid() && n.CanUint() {
			five := f.Interface().([5]byte)
			if five == [5]byte{} {
				five = [5]byte([]byte("HY000")) // an old server does not say
			}
			return string(five[:]), n.Uint()
		}
	}
	return "", 0
}

func sqlState(err error) string {
	state, _ := serverError(err)
	return state
}

// rejects reports whether the server refuses what it was given, whatever the state it is in: data that no column takes (22), a
// constraint (23), a view's own (44).
func rejects(err error) bool {
	if state := sqlState(err); state != "" {
		return slices.Contains([]string{"22", "23", "44"}, state[:2])
	}
	var sqlite interface{ Code() int }
	return errors.As(err, &sqlite) && slices.Contains([]int{sqliteTooBig, sqliteConstraint, sqliteMismatch}, sqlite.Code()&0xff)
}

// The primary result codes of SQLite that speak of values.
const (
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
)

// rolledBack reports whether the server says that it has undone the transaction because of others, so that it may work again.
func rolledBack(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "40") && state != "40003" // 40003: it does not know
}
