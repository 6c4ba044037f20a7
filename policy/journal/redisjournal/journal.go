package redisjournal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

// Journal is a journal.Journal on Redis. Its methods are safe for concurrent use.
type Journal struct {
	conn  *redisconn.Conn
	owned bool // Close closes conn
	opts  Options

	// mu guards what follows.
	mu     sync.Mutex
	open   map[string]*queue
	closed bool

	once sync.Once
	err  error
}

var _ journal.Journal = (*Journal)(nil)

// New returns a journal on the client of a store, found with As: one client then serves both. The caller closes the journal, and
// the store after it. It is an error if from is not a store on Redis.
func New(from interface{ As(target any) bool }, o *Options) (*Journal, error) {
	if from == nil {
		return nil, errors.New("redisjournal: New: the store is nil")
	}
	conn := connOf(from)
	if conn == nil {
		return nil, errors.New("redisjournal: New: the store is not on Redis: use Open with the URL of a Redis server")
	}
	return start(conn, false, o)
}

// Open returns a journal with a client of its own for url, of any form that package backend/redis takes: one server, Sentinel
// or Cluster, plain or over TLS, with the same parameters. For what a URL cannot hold (a tls.Config, Credentials, a Dialer) open a
// store and use New. It does not wait for the server. The caller closes the journal, which closes the client.
func Open(ctx context.Context, url string, o *Options) (*Journal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := redisconn.Open(url, nil)
	if err != nil {
		return nil, fmt.Errorf("redisjournal: open: %w", err)
	}
	j, err := start(conn, true, o)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return j, nil
}

func start(conn *redisconn.Conn, owned bool, o *Options) (*Journal, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return &Journal{conn: conn, owned: owned, opts: opts, open: map[string]*queue{}}, nil
}

// Open implements journal.Journal. All nodes should open a queue with the same options.
func (j *Journal) Open(name string, o journal.Options) (journal.Queue, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, fmt.Errorf("redisjournal: open %q: %w", name, journal.ErrClosed)
	}
	if j.open[name] != nil {
		return nil, fmt.Errorf("redisjournal: open %q: the queue is open already", name)
	}
	q := newQueue(j, name, o)
	j.open[name] = q
	return q, nil
}

// Shared implements journal.Journal: queues are those of all nodes.
func (j *Journal) Shared() bool { return true }

// String is the URL without password and parameters.
func (j *Journal) String() string { return j.conn.Redacted() }

// GoString is String too: %#v would print the fields.
func (j *Journal) GoString() string {
	return fmt.Sprintf("redisjournal.Journal(%s)", j.conn.Redacted())
}

// Close implements journal.Journal.
func (j *Journal) Close() error {
	j.once.Do(func() {
		j.mu.Lock()
		j.closed = true
		var open []*queue
		for _, q := range j.open {
			open = append(open, q)
		}
		j.mu.Unlock()
		var errs []error
		for _, q := range open {
			errs = append(errs, q.Close())
		}
		if j.owned {
			errs = append(errs, j.conn.Close())
		}
		j.err = errors.Join(errs...)
	})
	return j.err
}

// forget makes the name of a closed queue free.
func (j *Journal) forget(q *queue) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open[q.name] == q {
		delete(j.open, q.name)
	}
}
