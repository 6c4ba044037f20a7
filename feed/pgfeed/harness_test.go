package pgfeed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strata-cache/strata/feed"
	"github.com/strata-cache/strata/feed/pgfeed"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

const patience = 30 * time.Second

// notes is a handler that notes what it is told, as "op table column=value…", and "missed".
type notes struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when there is more
	told    []string
	calls   int
	fail    func(call int) error
}

func newNotes() *notes { return &notes{changed: make(chan struct{})} }

func (n *notes) note(lines ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	if n.fail != nil {
		if err := n.fail(n.calls); err != nil {
			return err
		}
	}
	n.told = append(n.told, lines...)
	close(n.changed)
	n.changed = make(chan struct{})
	return nil
}

func (n *notes) Missed(context.Context) error { return n.note("missed") }

func (n *notes) Changed(_ context.Context, changes []feed.Change) error {
	var lines []string
	for _, c := range changes {
		line := string(c.Op) + " " + c.Table
		for _, name := range []string{"id", "name", `Odd "Name"`} {
			if value, ok := c.Columns[name]; ok {
				line += " " + name + "=" + value
			}
		}
		lines = append(lines, line)
	}
	return n.note(lines...)
}

func (n *notes) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.told, "\n")
}

func (n *notes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = nil
}

// wait waits until it was told these things, in this order, and nothing else since it was made to forget.
func (n *notes) wait(t *testing.T, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	n.await(t, want, func() bool { return strings.Join(n.told, "\n") == want })
}

func (n *notes) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		n.mu.Lock()
		done, changed := ok(), n.changed
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("waited in vain for\n%s\ntold\n%s", what, n.all())
		}
	}
}

// database is a schema of the feed's, with a table of the same name that is watched.
type database struct {
	url, schema, table string
	conn               *pgx.Conn
}

func newDatabase(t *testing.T, srv *server.Server) *database {
	t.Helper()
	schema := strings.ToLower(strings.Trim(servertest.Key(t), "-"))
	schema = "s-" + schema[max(0, len(schema)-30):]
	d := &database{url: srv.URL(), schema: schema, table: schema + ".t"}
	d.conn = d.connect(t)
	setup, err := pgfeed.SetupSQL(schema)
	servertest.Require(t, err)
	d.exec(t, setup)
	d.exec(t, setup) // again changes nothing
	d.exec(t, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, value text)", d.ident("t")))
	watch, err := pgfeed.WatchSQL(schema, d.table, "id")
	servertest.Require(t, err)
	d.exec(t, watch)
	d.exec(t, watch)
	return d
}

func (d *database) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	servertest.Require(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (d *database) ident(name string) string { return pgx.Identifier{d.schema, name}.Sanitize() }

func (d *database) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	execOn(t, d.conn, sql, args...)
}

// pgxExec is a connection or a transaction.
type pgxExec interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

func execOn(t *testing.T, conn pgxExec, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (d *database) insert(t *testing.T, conn pgxExec, id int) {
	t.Helper()
	execOn(t, conn, "INSERT INTO "+d.ident("t")+" VALUES ($1, 'x')", id)
}

func (d *database) line(op string, id int) string { return fmt.Sprintf("%s %s id=%d", op, d.table, id) }

func (d *database) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	servertest.Require(t, d.conn.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (d *database) options() *pgfeed.Options {
	return &pgfeed.Options{Schema: d.schema, Interval: 50 * time.Millisecond}
}

// outbox runs a consumer until the function that it returns is called, or the test ends.
func (d *database) outbox(t *testing.T, consumer string, h feed.Handler, o *pgfeed.Options) (*pgfeed.Outbox, func()) {
	t.Helper()
	if o == nil {
		o = d.options()
	}
	b, err := pgfeed.NewOutbox(d.url, consumer, h, o)
	servertest.Require(t, err)
	return b, running(t, b.Run)
}

// begun waits until a consumer has been told that it missed everything before, and until that is noted.
func (d *database) begun(t *testing.T, consumer string, n *notes) {
	t.Helper()
	n.wait(t, "missed")
	eventually(t, "the consumer is known", func() bool {
		return d.count(t, "SELECT count(*) FROM "+d.ident("consumers")+" WHERE name = $1", consumer) == 1
	})
	n.forget()
}

func running(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }() // ends with ctx, joined by stop
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
