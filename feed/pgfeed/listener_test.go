package pgfeed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/feed/pgfeed"
	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/servertest"
)

func (d *database) listener(t *testing.T, url string, n *notes, o *pgfeed.Options) *pgfeed.Listener {
	t.Helper()
	l, err := pgfeed.NewListener(url, d.schema, n, o)
	servertest.Require(t, err)
	running(t, l.Run)
	return l
}

func announced(t *testing.T) *database {
	t.Helper()
	d := newDatabase(t, servertest.SharedPostgres(t))
	announce, err := pgfeed.AnnounceSQL(d.schema, d.schema, d.table, "id")
	servertest.Require(t, err)
	d.exec(t, announce)
	d.exec(t, announce)
	return d
}

func TestAListenerHearsChangesAndIsToldWhatItMisses(t *testing.T) {
	t.Parallel()
	d, n := announced(t), newNotes()
	l := d.listener(t, d.url, n, d.options())
	n.wait(t, "missed")
	n.forget()
	table := d.ident("t")
	d.exec(t, "INSERT INTO "+table+" VALUES (1, 'a')")
	d.exec(t, "UPDATE "+table+" SET id = 3")
	d.exec(t, "DELETE FROM "+table)
	d.exec(t, "TRUNCATE "+table)
	n.wait(t, d.line("insert", 1), d.line("update", 1), d.line("update", 3), d.line("delete", 3), "truncate "+d.table)
	n.forget()

	d.exec(t, "SELECT pg_notify($1, 'something else')", d.schema)
	n.wait(t, "missed")
	n.forget()
	d.exec(t, fmt.Sprintf("CREATE TABLE %s (id text)", d.ident("long")))
	announce, err := pgfeed.AnnounceSQL(d.schema, d.schema, d.schema+".long", "id")
	servertest.Require(t, err)
	d.exec(t, announce)
	d.exec(t, "INSERT INTO "+d.ident("long")+" VALUES ($1)", strings.Repeat("x", 9000))
	n.wait(t, "insert "+d.schema+".long") // of which row could not be told: of all
	n.forget()

	d.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strata' AND query LIKE '%'||$1||'%' OR query = 'SELECT 1' AND application_name = 'strata'", d.schema)
	n.wait(t, "missed")
	d.insert(t, d.conn, 7)
	n.wait(t, "missed", d.line("insert", 7))
	if s := l.Stats(); !s.Reading || s.Failures != 1 {
		t.Errorf("%+v", s)
	}
}

func TestASilentConnectionOfAListenerIsReplaced(t *testing.T) {
	t.Parallel()
	d, n := announced(t), newNotes()
	addr := servertest.SharedPostgres(t).Addr()
	p, err := wire.New(addr)
	servertest.Require(t, err)
	defer p.Close()
	o := d.options()
	o.Timeout = 300 * time.Millisecond
	d.listener(t, strings.Replace(d.url, addr, p.Addr(), 1), n, o)
	n.wait(t, "missed")
	known := p.Accepted()
	p.Set(wire.Fault{Blackhole: true, Only: func(conn int) bool { return conn < known }})
	n.wait(t, "missed", "missed")
}
