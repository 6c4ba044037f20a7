package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	// tries is how often a transaction is begun that the server undoes because of another: a deadlock, mostly.
	tries = 5

	// leaveIn bounds how long a connection is waited for that is to forget its transaction.
	leaveIn = 5 * time.Second
)

// transact makes all statements in one transaction, or none. Whatever fails before COMMIT is sent was surely not written, by whatever
// driver: that is why a transaction is begun even for one statement, as of one that is on its own nobody knows when its
// connection is lost. COMMIT and the others go as statements on one connection, because (*sql.Tx).Commit has no context.
func transact(ctx context.Context, db *sql.DB, d Dialect, statements []Statement) *Error {
	for try := 1; ; try++ {
		err := transactOnce(ctx, db, d, statements)
		if err == nil || try == tries || !err.NotWritten || !rolledBack(err.Err) {
			return err
		}
		pause := time.NewTimer(rand.N(time.Duration(try) * 10 * time.Millisecond))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() != nil {
			return err
		}
	}
}

func transactOnce(ctx context.Context, db *sql.DB, d Dialect, statements []Statement) *Error {
	conn, failed := begin(ctx, db, d)
	if failed != nil {
		return failed
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s.Query, s.Args...); err != nil {
			leave(ctx, conn)
			return &Error{Step: "statement", NotWritten: true, Err: err}
		}
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	if err == nil {
		return nil
	}
	// 40 and 23 are the server's word: it has rolled back, or refuses by a constraint that it checks only now. In SQLite, that there
	// still is a transaction to roll back says that it was not committed. That of a driver says nothing: ErrBadConn should mean
	// that nothing was sent, and pgx answers so when it lost the connection after COMMIT as well.
	left := leave(ctx, conn)
	not := rolledBack(err) || strings.HasPrefix(sqlState(err), "23") || d == SQLite && left
	return &Error{Step: "commit", NotWritten: not, Err: err}
}

// begin returns a connection within a transaction. Pooled connections whose server is gone are tried no more often than there are new ones.
func begin(ctx context.Context, db *sql.DB, d Dialect) (*sql.Conn, *Error) {
	for try := 1; ; try++ {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, &Error{Step: "connect", NotWritten: true, Err: err}
		}
		if _, err = conn.ExecContext(ctx, d.begin()); err == nil {
			return conn, nil
		}
		leave(ctx, conn)
		conn.Close()
		if !errors.Is(err, driver.ErrBadConn) || try == 3 {
			return nil, &Error{Step: "begin", NotWritten: true, Err: err}
		}
	}
}

// leave makes the connection one without a transaction, or closes it, and reports whether it had one to roll back. Not by closing alone:
// a SQLite database in memory is its connection.
func leave(ctx context.Context, conn *sql.Conn) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveIn)
	defer cancel()
	exec := func(statement string) bool {
		_, err := conn.ExecContext(ctx, statement)
		return err == nil
	}
	if exec("ROLLBACK") {
		return true
	}
	if !exec("BEGIN") || !exec("ROLLBACK") { // it may have rolled back by itself: then there was none to roll back
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return false
}
