package pgfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strata-cache/strata/feed"
)

const (
	// batchSize is how many changes the handler is told of at once.
	batchSize = 500
	// pruneEvery is the time between two prunings, pruneRows how many rows one statement takes out.
	pruneEvery = time.Minute
	pruneRows  = 10_000
	// touchEvery is how long a consumer's row stays as it is while nothing is changed.
	touchEvery = time.Minute
)

var errReplica = errors.New("pgfeed: the server is a replica: which transactions are under way only the primary says")

// An Outbox reads the outbox under a consumer's name.
type Outbox struct {
	*session
	consumer   string
	pruneEvery time.Duration
	sql        struct{ lock, listen, state, rows, advance, begin, expire, prune string }
}

// NewOutbox returns the feed of a consumer; Run runs it. url is what pgx takes: postgres://user:password@host/database?…, of the
// primary and not of a pooler that shares connections by transaction. All processes that do the same thing with the changes use
// the same consumer, of which one reads; different ones hear of every change each.
func NewOutbox(url, consumer string, h feed.Handler, o *Options) (*Outbox, error) {
	s, err := newSession(url, h, o)
	if err != nil {
		return nil, err
	}
	if consumer == "" || len(consumer) > 200 {
		return nil, fmt.Errorf("pgfeed: the consumer %q: a name has 1 to 200 bytes", consumer)
	}
	n, err := newNames(s.opts.Schema)
	if err != nil {
		return nil, err
	}
	b := &Outbox{session: s, consumer: consumer, pruneEvery: pruneEvery}
	q := &b.sql
	q.lock = n.expand(`SELECT pg_try_advisory_lock(hashtextextended({wake} || ' ' || $1, 0))`)
	q.listen = n.expand(`LISTEN {listen}`)
	q.state = n.expand(`SELECT pg_current_snapshot()::text,
	(SELECT system_identifier::text FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8),
	seen::text, incarnation
	FROM (VALUES (1)) one LEFT JOIN {schema}.consumers ON name = $1`)
	q.rows = n.expand(`SELECT tbl, op, cols::text FROM (
		SELECT * FROM {schema}.outbox WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot)
		UNION ALL
		SELECT * FROM {schema}.outbox WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
	) news ORDER BY id LIMIT $2`)
	q.advance = n.expand(`UPDATE {schema}.consumers SET seen = $2::text::pg_snapshot, updated = now() WHERE name = $1`)
	q.begin = n.expand(`INSERT INTO {schema}.consumers (name, seen, incarnation) VALUES ($1, $2::text::pg_snapshot, $3)
		ON CONFLICT (name) DO UPDATE SET seen = EXCLUDED.seen, incarnation = EXCLUDED.incarnation, updated = now()`)
	q.expire = n.expand(`DELETE FROM {schema}.consumers WHERE updated < now() - $1::bigint * interval '1 microsecond'`)
	q.prune = n.expand(`DELETE FROM {schema}.outbox WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM {schema}.outbox WHERE xid <
			(SELECT pg_snapshot_xmin(seen) FROM {schema}.consumers ORDER BY pg_snapshot_xmin(seen) LIMIT 1)
		LIMIT $1))`)
	return b, nil
}

// Run reads until ctx ends, and returns its error; ErrRunning if it runs already. Whatever else fails, the schema that is not
// there yet included, it tries again, and OnError hears of it. It stands by while another one of the consumer reads. While it
// calls the handler it waits.
func (b *Outbox) Run(ctx context.Context) error { return b.run(ctx, b.serve) }

// Stats returns a snapshot.
func (b *Outbox) Stats() Stats { return b.stats() }

func (b *Outbox) serve(ctx context.Context, conn *pgx.Conn) error {
	if err := b.lead(ctx, conn); err != nil {
		return err
	}
	if _, err := b.exec(ctx, conn, b.sql.listen); err != nil {
		return fmt.Errorf("pgfeed: listen: %w", err)
	}
	b.reading.Store(true)
	var pruned, touched time.Time
	for {
		if err := b.look(ctx, conn, &touched); err != nil {
			return err
		}
		if time.Since(pruned) > b.pruneEvery {
			if err := b.prune(ctx, conn); err != nil {
				return fmt.Errorf("pgfeed: prune: %w", err)
			}
			pruned = time.Now()
		}
		if _, notified, err := b.await(ctx, conn); err != nil {
			return err
		} else if notified {
			forget(conn)
		}
	}
}

// forget drops the notifications that came with the one before: one look is for all of them.
func forget(conn *pgx.Conn) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if _, err := conn.WaitForNotification(over); err != nil {
			return
		}
	}
}

// lead waits until this feed is the one of its consumer that reads: it holds a lock for as long as the connection lives.
func (b *Outbox) lead(ctx context.Context, conn *pgx.Conn) error {
	var replica bool
	err := b.step(ctx, func(ctx context.Context) error {
		return conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&replica)
	})
	if err == nil && replica {
		err = errReplica
	}
	for err == nil {
		var locked bool
		err = b.step(ctx, func(ctx context.Context) error { return conn.QueryRow(ctx, b.sql.lock, b.consumer).Scan(&locked) })
		if err != nil {
			break
		}
		if locked {
			return nil
		}
		_, _, err = b.await(ctx, conn)
	}
	return fmt.Errorf("pgfeed: begin to read: %w", err)
}

// A state is what the server says, in one snapshot.
type state struct {
	now         string  // the snapshot: which transactions are visible in it
	incarnation string  // of the server's history
	seen        *string // up to which snapshot the consumer was told; nil if it is not known
	of          *string // the incarnation of which that was
	changes     []feed.Change
}

// look tells the handler what it was not told yet, and remembers that it was. touched is when the consumer's row was last written.
func (b *Outbox) look(ctx context.Context, conn *pgx.Conn, touched *time.Time) error {
	var st state
	err := b.step(ctx, func(ctx context.Context) (err error) {
		st, err = b.read(ctx, conn)
		return err
	})
	if err != nil {
		return fmt.Errorf("pgfeed: read the outbox: %w", err)
	}
	told := context.WithoutCancel(ctx) // what the handler has taken is noted, also if ctx ends now: a step is bounded
	if st.seen == nil || *st.of != st.incarnation || len(st.changes) > b.opts.MaxBacklog {
		if err := b.miss(ctx); err != nil {
			return err
		}
		if _, err := b.exec(told, conn, b.sql.begin, b.consumer, st.now, st.incarnation); err != nil {
			return fmt.Errorf("pgfeed: begin the consumer %q: %w", b.consumer, err)
		}
		*touched = time.Now()
		return nil
	}
	for batch := range slices.Chunk(st.changes, batchSize) {
		if err := b.changed(ctx, batch); err != nil {
			return err
		}
	}
	if len(st.changes) > 0 || time.Since(*touched) > min(touchEvery, b.opts.Retention/4) {
		// A consumer that was taken out meanwhile finds that at its next look.
		if _, err := b.exec(told, conn, b.sql.advance, b.consumer, st.now); err != nil {
			return fmt.Errorf("pgfeed: advance the consumer %q: %w", b.consumer, err)
		}
		*touched = time.Now()
	}
	return nil
}

// read finds out in one snapshot what is new since the one that the consumer has seen.
func (b *Outbox) read(ctx context.Context, conn *pgx.Conn) (st state, err error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return st, err
	}
	defer func() {
		if e := tx.Rollback(ctx); e != nil && err == nil {
			err = e
		}
	}()
	if err := tx.QueryRow(ctx, b.sql.state, b.consumer).Scan(&st.now, &st.incarnation, &st.seen, &st.of); err != nil {
		return st, err
	}
	if st.seen == nil || *st.of != st.incarnation {
		return st, nil
	}
	rows, err := tx.Query(ctx, b.sql.rows, *st.seen, b.opts.MaxBacklog+1)
	if err != nil {
		return st, err
	}
	st.changes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c feed.Change, err error) {
		var columns *string
		if err := row.Scan(&c.Table, &c.Op, &columns); err != nil || columns == nil {
			return c, err
		}
		c.Columns, err = decodeColumns([]byte(*columns))
		return c, err
	})
	return st, err
}

// decodeColumns reads an object of strings; those that are null are left out.
func decodeColumns(b []byte) (map[string]string, error) {
	var all map[string]*string
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	columns := make(map[string]string, len(all))
	for name, value := range all {
		if value != nil {
			columns[name] = *value
		}
	}
	return columns, nil
}

// prune takes out consumers that have gone for good, and what all others have seen. Who reads meanwhile has both or neither:
// a consumer is gone before what it has not seen is.
func (b *Outbox) prune(ctx context.Context, conn *pgx.Conn) error {
	if _, err := b.exec(ctx, conn, b.sql.expire, b.opts.Retention.Microseconds()); err != nil {
		return err
	}
	for {
		rows, err := b.exec(ctx, conn, b.sql.prune, pruneRows)
		if err != nil || rows < pruneRows {
			return err
		}
	}
}
