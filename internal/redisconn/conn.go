package redisconn

import (
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Conn is a client of one Redis server, shared by everything in the process that talks to it. Safe for concurrent use.
type Conn struct {
	client *redis.Client
	target target

	// mu guards closed, and that no call begins once it is set.
	mu     sync.RWMutex
	closed bool

	calls sync.WaitGroup // calls under way, abandoned ones included
	done  chan struct{}  // closed when Close is through
}

// Open returns a connection for redis://[user:password@]host[:port][/db], or rediss:// for TLS. It does not dial: a server
// that is down shows in the first call. Parameters of the URL are strict; Parameters lists them. The caller closes it.
func Open(rawURL string, o *Options) (*Conn, error) {
	t, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	return &Conn{client: redis.NewClient(clientOptions(t)), target: t, done: make(chan struct{})}, nil
}

// Client returns the library's client. Commands through it obey a context's deadline but not its cancellation: use Call.
func (c *Conn) Client() *redis.Client { return c.client }

// Server identifies the database, host:port/db, without secrets: two URLs of one database give the same.
func (c *Conn) Server() string { return c.target.server() }

// Redacted returns the URL as it may be shown, without its password and parameters.
func (c *Conn) Redacted() string { return c.target.redacted() }

// String is Redacted, so that a printed Conn tells no secret.
func (c *Conn) String() string { return c.Redacted() }

// GoString is Redacted too: %#v would print the fields.
func (c *Conn) GoString() string { return fmt.Sprintf("redisconn.Conn(%s)", c.Redacted()) }

// Timeout is the bound of every call.
func (c *Conn) Timeout() time.Duration { return c.target.opts.Timeout }

// Close waits for the calls under way, at most about Timeout, and closes the client. Calls after it return
// sentinel.ErrClosed. Idempotent; every Close returns after the first is through.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		<-c.done
		return nil
	}
	defer close(c.done)
	c.calls.Wait()
	if err := c.client.Close(); err != nil {
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
