package redisconn

import (
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Conn is a client of one Redis: a server, the primary that sentinels watch, or a cluster. Everything in the process that
// talks to it shares the Conn. Safe for concurrent use.
type Conn struct {
	target   target
	topology topology
	nodes    *nodes

	// mu guards what follows, and that no call begins once closed is set.
	mu     sync.RWMutex
	closed bool
	given  redis.UniversalClient // what Client returned, where it is not a node's

	calls sync.WaitGroup // calls under way, abandoned ones included
	done  chan struct{}  // closed when Close is through
}

// Open returns a connection for a URL:
//
//	redis://[user:password@]host[:port][/db]
//	redis-sentinel://[user:password@]host[:port],host[:port]…/MASTER[/db]
//	redis-cluster://[user:password@]host[:port],host[:port]…
//
// and the same with rediss for TLS. Credentials are those of the servers; sentinels have their own in the options. It does
// not dial: a server that is down shows in the first call. Parameters of the URL are strict; Parameters lists them. The
// caller closes it.
func Open(rawURL string, o *Options) (*Conn, error) {
	t, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	c := &Conn{target: t, done: make(chan struct{})}
	switch t.kind {
	case sentinels:
		c.topology, c.nodes = newWatched(&c.target)
	case cluster:
		c.topology, c.nodes = newMembers(&c.target)
	default:
		c.nodes = newNodes(&c.target, nil)
		node, err := c.nodes.get(t.hosts[0], plain)
		if err != nil {
			return nil, err
		}
		c.topology = one{node}
	}
	return c, nil
}

// Server identifies the database by its hosts, without secrets: two URLs of one database give the same.
func (c *Conn) Server() string { return c.target.server() }

// Redacted returns the URL as it may be shown, without its password and parameters.
func (c *Conn) Redacted() string { return c.target.redacted() }

// String is Redacted, so that a printed Conn tells no secret.
func (c *Conn) String() string { return c.Redacted() }

// GoString is Redacted too: %#v would print the fields.
func (c *Conn) GoString() string { return fmt.Sprintf("redisconn.Conn(%s)", c.Redacted()) }

// Timeout is the bound of every call.
func (c *Conn) Timeout() time.Duration { return c.target.opts.Timeout }

// MaxValue is the length of the longest string that a reply may hold.
func (c *Conn) MaxValue() int { return c.target.opts.MaxValue }

// MaxAge is after how long a connection should be replaced; 0 for never.
func (c *Conn) MaxAge() time.Duration { return c.target.opts.MaxAge }

// DB is the number of the database.
func (c *Conn) DB() int { return c.target.db }

// Clustered reports whether keys are spread over several servers.
func (c *Conn) Clustered() bool { return c.target.kind == cluster }

// Close waits for the calls under way, at most about Timeout, and closes all connections. Calls after it return
// sentinel.ErrClosed. Idempotent; every Close returns after the first is through.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	given := c.given
	c.mu.Unlock()
	if !first {
		<-c.done
		return nil
	}
	defer close(c.done)
	c.calls.Wait()
	c.topology.close()
	err := c.nodes.close()
	if given != nil {
		if e := given.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("redisconn: close %s: %w", c.Server(), err)
	}
	return nil
}

// begin counts a call, unless the connection is closed.
func (c *Conn) begin() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return fmt.Errorf("redisconn: %s: %w", c.Server(), sentinel.ErrClosed)
	}
	c.calls.Add(1)
	return nil
}

func (c *Conn) isClosed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.closed
}
