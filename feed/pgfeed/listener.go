package pgfeed

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/strata-cache/strata/feed"
)

// A Listener hears notifications of changes, which are not kept: what is notified while it is not connected is missed, and the
// handler is told so at each connection, the first included.
type Listener struct {
	*session
	channel string
}

// NewListener returns the feed of a channel, for which AnnounceSQL made the triggers; Run runs it. url is as for NewOutbox. Each
// Listener hears everything.
func NewListener(url, channel string, h feed.Handler, o *Options) (*Listener, error) {
	if channel == "" || len(channel) > 63 {
		return nil, fmt.Errorf("pgfeed: the channel %q: a name has 1 to 63 bytes", channel)
	}
	s, err := newSession(url, h, o)
	if err != nil {
		return nil, err
	}
	return &Listener{s, channel}, nil
}

// Run listens until ctx ends, and returns its error; ErrRunning if it runs already. Whatever else fails, it connects anew, and
// OnError hears of it.
func (l *Listener) Run(ctx context.Context) error { return l.run(ctx, l.serve) }

// Stats returns a snapshot.
func (l *Listener) Stats() Stats { return l.stats() }

func (l *Listener) serve(ctx context.Context, conn *pgx.Conn) error {
	if _, err := l.exec(ctx, conn, "LISTEN "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		return fmt.Errorf("pgfeed: listen: %w", err)
	}
	if err := l.miss(ctx); err != nil { // now, and not before: from here on everything is heard
		return err
	}
	l.reading.Store(true)
	for {
		payload, notified, err := l.await(ctx, conn)
		switch {
		case err != nil:
			return err
		case !notified: // silence may be a connection that has died
			if _, err := l.exec(ctx, conn, "SELECT 1"); err != nil {
				return fmt.Errorf("pgfeed: the connection was lost: %w", err)
			}
			continue
		}
		change, err := decodeNotice(payload)
		if err != nil {
			err = l.miss(ctx) // somebody else's, or of another version
		} else {
			err = l.changed(ctx, []feed.Change{change})
		}
		if err != nil {
			return err
		}
	}
}

func decodeNotice(payload string) (c feed.Change, err error) {
	var n struct {
		Table   string          `json:"table"`
		Op      feed.Op         `json:"op"`
		Columns json.RawMessage `json:"columns"`
	}
	if err := json.Unmarshal([]byte(payload), &n); err != nil {
		return c, err
	}
	if n.Table == "" || n.Op == "" {
		return c, fmt.Errorf("pgfeed: not one of our notifications")
	}
	c = feed.Change{Table: n.Table, Op: n.Op}
	if len(n.Columns) > 0 && string(n.Columns) != "null" {
		c.Columns, err = decodeColumns(n.Columns)
	}
	return c, err
}
