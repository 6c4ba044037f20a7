package pgfeed_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strata-cache/strata/feed/pgfeed"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestChangesAreToldWithTheirRows(t *testing.T) {
	t.Parallel()
	d, n := newDatabase(t, servertest.SharedPostgres(t)), newNotes()
	d.outbox(t, "c", n, nil)
	n.wait(t, "missed") // nothing is known before the first time
	n.forget()
	table := d.ident("t")
	d.exec(t, "INSERT INTO "+table+" VALUES (1, 'a'), (2, 'b')")
	d.exec(t, "UPDATE "+table+" SET value = 'c' WHERE id = 1")
	d.exec(t, "UPDATE "+table+" SET id = 3 WHERE id = 2")
	d.exec(t, "DELETE FROM "+table+" WHERE id = 1")
	d.exec(t, "TRUNCATE "+table)
	n.wait(t, d.line("insert", 1), d.line("insert", 2), d.line("update", 1), d.line("update", 2), d.line("update", 3),
		d.line("delete", 1), "truncate "+d.table)
	n.forget()

	tx, err := d.conn.Begin(t.Context())
	servertest.Require(t, err)
	d.insert(t, tx, 10)
	servertest.Require(t, tx.Rollback(t.Context()))
	execOn(t, d.conn, fmt.Sprintf("BEGIN; INSERT INTO %s VALUES (11); SAVEPOINT a; INSERT INTO %s VALUES (12); ROLLBACK TO a; INSERT INTO %s VALUES (13); COMMIT", table, table, table))
	n.wait(t, d.line("insert", 11), d.line("insert", 13))
}

// The sequence of the outbox is not the order of commits: what commits late is told, wherever it stands, and nothing waits for it.
func TestATransactionThatCommitsLateIsNotSkipped(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"reading on": false, "resumed in between": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, n := newDatabase(t, servertest.SharedPostgres(t)), newNotes()
			_, stop := d.outbox(t, "c", n, nil)
			d.begun(t, "c", n)
			early, err := d.connect(t).Begin(t.Context())
			servertest.Require(t, err)
			d.insert(t, early, 1)
			other, err := d.connect(t).Begin(t.Context())
			servertest.Require(t, err)
			d.insert(t, other, 2)
			d.insert(t, d.conn, 3)
			n.wait(t, d.line("insert", 3))
			servertest.Require(t, other.Commit(t.Context()))
			n.wait(t, d.line("insert", 3), d.line("insert", 2))
			if restart {
				stop()
				d.outbox(t, "c", n, nil)
			}
			d.insert(t, early, 4)
			servertest.Require(t, early.Commit(t.Context()))
			n.wait(t, d.line("insert", 3), d.line("insert", 2), d.line("insert", 1), d.line("insert", 4))
		})
	}
}

func TestAPreparedTransactionIsToldWhenItCommits(t *testing.T) {
	t.Parallel()
	d, n := newDatabase(t, servertest.Postgres(t, &server.PostgresOptions{Settings: []string{"max_prepared_transactions=2"}})), newNotes()
	_, stop := d.outbox(t, "c", n, nil)
	n.wait(t, "missed")
	n.forget()
	d.exec(t, "SET strata.wake = off") // who has notified cannot prepare
	d.exec(t, fmt.Sprintf("BEGIN; INSERT INTO %s VALUES (1); PREPARE TRANSACTION 'p'", d.ident("t")))
	d.insert(t, d.conn, 2)
	n.wait(t, d.line("insert", 2))
	stop()
	d.outbox(t, "c", n, nil)
	d.exec(t, "COMMIT PREPARED 'p'")
	n.wait(t, d.line("insert", 2), d.line("insert", 1))
}

func TestWhatTheHandlerRefusedIsToldAgain(t *testing.T) {
	t.Parallel()
	d, n := newDatabase(t, servertest.SharedPostgres(t)), newNotes()
	n.fail = func(call int) error {
		switch call {
		case 1, 3:
			return errors.New("no")
		case 4:
			panic("no")
		}
		return nil
	}
	o := d.options()
	failures := make(chan error, 10)
	o.OnError = func(err error) { failures <- err }
	b, stop := d.outbox(t, "c", n, o)
	n.wait(t, "missed")
	n.forget()
	d.insert(t, d.conn, 1)
	n.wait(t, d.line("insert", 1))
	d.insert(t, d.conn, 2)
	n.wait(t, d.line("insert", 1), d.line("insert", 2))
	stop()
	for _, want := range []string{"Missed: no", "Changed: no", "Changed: panic: no"} {
		if err := <-failures; !strings.Contains(err.Error(), want) {
			t.Errorf("failed with %v, want %q", err, want)
		}
	}
	if s := b.Stats(); s != (pgfeed.Stats{Changes: 2, Missed: 1, Failures: 3}) {
		t.Errorf("%+v", s)
	}
}

func TestAConsumerReadsOnWhereItWas(t *testing.T) {
	t.Parallel()
	d, n := newDatabase(t, servertest.SharedPostgres(t)), newNotes()
	o := d.options()
	o.MaxBacklog = 5
	_, stop := d.outbox(t, "c", n, o)
	n.wait(t, "missed")
	stop()
	n.forget()
	for i := range 5 {
		d.insert(t, d.conn, i)
	}
	_, stop = d.outbox(t, "c", n, o)
	n.wait(t, d.line("insert", 0), d.line("insert", 1), d.line("insert", 2), d.line("insert", 3), d.line("insert", 4))
	stop()
	n.forget()
	for i := range 6 { // more than the backlog that is read
		d.insert(t, d.conn, 10+i)
	}
	_, stop = d.outbox(t, "c", n, o)
	n.wait(t, "missed")
	d.insert(t, d.conn, 20)
	n.wait(t, "missed", d.line("insert", 20))
	stop()

	n.forget() // as after a restored dump, or a failover
	d.exec(t, "UPDATE "+d.ident("consumers")+" SET incarnation = 'another'")
	_, stop = d.outbox(t, "c", n, o)
	n.wait(t, "missed")
	stop()
	_, stop = d.outbox(t, "c", n, o)
	d.insert(t, d.conn, 21)
	n.wait(t, "missed", d.line("insert", 21))
	stop()
}

func TestOneOfAConsumerReadsAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, servertest.SharedPostgres(t))
	first, second, other := newNotes(), newNotes(), newNotes()
	a, stop := d.outbox(t, "c", first, nil)
	first.wait(t, "missed")
	b, _ := d.outbox(t, "c", second, nil)
	d.outbox(t, "d", other, nil)
	other.wait(t, "missed")
	d.insert(t, d.conn, 1)
	first.wait(t, "missed", d.line("insert", 1))
	other.wait(t, "missed", d.line("insert", 1))
	if !a.Stats().Reading || b.Stats().Reading || second.all() != "" {
		t.Errorf("%+v, %+v, the second was told %q", a.Stats(), b.Stats(), second.all())
	}
	if err := a.Run(t.Context()); !errors.Is(err, pgfeed.ErrRunning) {
		t.Errorf("Run twice: %v", err)
	}
	stop()
	d.insert(t, d.conn, 2)
	second.wait(t, d.line("insert", 2))
}

func TestWhatAllHaveSeenIsPruned(t *testing.T) {
	t.Parallel()
	d, n, slow := newDatabase(t, servertest.Postgres(t)), newNotes(), newNotes() // on which no other test has a transaction
	_, stop := d.outbox(t, "slow", slow, nil)
	d.begun(t, "slow", slow)
	stop()
	o := d.options()
	o.Retention = time.Hour
	b, err := pgfeed.NewOutbox(d.url, "c", n, o)
	servertest.Require(t, err)
	b.PruneAlways()
	running(t, b.Run)
	d.begun(t, "c", n)
	written := 0
	write := func() { // when it is told of this one, it has pruned after the one before
		n.forget()
		written++
		d.insert(t, d.conn, written)
		n.wait(t, d.line("insert", written))
	}
	rows := func() int { return d.count(t, "SELECT count(*) FROM "+d.ident("outbox")) }
	for range 4 {
		write()
	}
	if got := rows(); got != written {
		t.Errorf("%d rows of %d while a consumer has seen none", got, written)
	}
	// The slow one has gone for longer than is waited for.
	d.exec(t, "UPDATE "+d.ident("consumers")+" SET updated = now() - interval '2 hours' WHERE name = 'slow'")
	eventually(t, "pruned", func() bool { write(); return rows() <= 2 })
	slow.forget()
	d.outbox(t, "slow", slow, nil)
	slow.wait(t, "missed")
}

func TestNamesAreQuotedAndWritersNeedNoRights(t *testing.T) {
	t.Parallel()
	d, n := newDatabase(t, servertest.SharedPostgres(t)), newNotes()
	table := pgx.Identifier{d.schema, `Ta"ble's \`}.Sanitize()
	name := d.schema + `.Ta"ble's \`
	d.exec(t, fmt.Sprintf(`CREATE TABLE %s ("Odd ""Name""" text, name text)`, table))
	watch, err := pgfeed.WatchSQL(d.schema, name, `Odd "Name"`, "name")
	servertest.Require(t, err)
	d.exec(t, watch)
	role := pgx.Identifier{"w" + d.schema}.Sanitize()
	d.exec(t, fmt.Sprintf("CREATE ROLE %s; GRANT USAGE ON SCHEMA %s TO %s; GRANT INSERT ON %s TO %s",
		role, pgx.Identifier{d.schema}.Sanitize(), role, table, role))
	d.outbox(t, "c", n, nil)
	n.wait(t, "missed")
	d.exec(t, fmt.Sprintf("BEGIN; SET LOCAL ROLE %s; INSERT INTO %s VALUES ('it''s \\ \"odd\"', NULL); COMMIT", role, table))
	n.wait(t, "missed", `insert `+name+` Odd "Name"=it's \ "odd"`)

	watch, err = pgfeed.WatchSQL(d.schema, d.table, "no such column")
	servertest.Require(t, err)
	if _, err := d.conn.Exec(t.Context(), watch); err == nil {
		t.Error("a column that is not there was taken")
	}
}

func TestAReaderNeedsNoMoreThanTheDocumentedRights(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedPostgres(t)
	d, n := newDatabase(t, srv), newNotes()
	role := "r" + strings.ReplaceAll(d.schema, "-", "_")
	d.exec(t, strings.NewReplacer("{s}", pgx.Identifier{d.schema}.Sanitize(), "{r}", role).Replace(`CREATE ROLE {r} LOGIN;
		GRANT USAGE ON SCHEMA {s} TO {r};
		GRANT SELECT, DELETE ON {s}.outbox TO {r};
		GRANT SELECT, INSERT, UPDATE, DELETE ON {s}.consumers TO {r}`))
	reader := *d
	reader.url = strings.Replace(d.url, "postgres@", role+"@", 1)
	o := d.options()
	o.OnError = func(err error) { t.Error(err) }
	reader.outbox(t, "c", n, o)
	d.begun(t, "c", n)
	d.insert(t, d.conn, 1)
	n.wait(t, d.line("insert", 1))
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	wants := func(want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	for _, table := range []string{"", "a.", "a.b.c"} {
		_, err := pgfeed.WatchSQL("", table, "id")
		wants("schema.table", err)
	}
	_, err := pgfeed.WatchSQL("", "t")
	wants("which columns", err)
	_, err = pgfeed.WatchSQL("", "t", "")
	wants("column", err)
	_, err = pgfeed.AnnounceSQL("", "", "t", "id")
	wants("channel", err)
	_, err = pgfeed.SetupSQL("a{b")
	wants("schema", err)
	_, err = pgfeed.NewOutbox("postgres://u:secret@h:port/db", "c", newNotes(), nil)
	wants("malformed", err)
	_, err = pgfeed.NewOutbox("postgres://u@h/db", "", newNotes(), nil)
	wants("consumer", err)
	_, err = pgfeed.NewOutbox("postgres://u@h/db", "c", nil, nil)
	wants("handler", err)
	_, err = pgfeed.NewListener("postgres://u@h/db", "", newNotes(), nil)
	wants("channel", err)
	_, err = pgfeed.NewListener("postgres://u@h/db", "c", newNotes(), &pgfeed.Options{Interval: -1})
	wants("Interval", err)
}
