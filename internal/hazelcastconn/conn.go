package hazelcastconn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Conn is a connection to one map of one cluster, shared by everything in the process that talks to it. Safe for
// concurrent use.
type Conn struct {
	target target
	stop   context.CancelFunc // ends the supervisor
	joined chan struct{}      // closed when the supervisor and its last client are gone
	calls  sync.WaitGroup     // calls under way
	done   chan struct{}      // closed when Close is through
	log    *log
	hooks  hooks

	// mu guards what follows, and that no call begins once closed is set.
	mu      sync.Mutex
	closed  bool
	current *session
	changed chan struct{} // closed and replaced whenever current or closed changes
	failure error         // why there is no current session; nil while the first attempt lasts
}

// Open returns a connection for a URL and starts to connect in the background: a cluster that is down shows in the first
// call. Parameters of the URL are strict; Parameters lists them. The caller closes it.
func Open(rawURL string, o *Options) (*Conn, error) {
	t, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{
		target:  t,
		stop:    cancel,
		joined:  make(chan struct{}),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
		log:     &log{to: t.opts.Logger},
	}
	c.hooks.server = c.Server()
	if t.opts.OnServer != nil {
		c.hooks.add(t.opts.OnServer)
	}
	go c.supervise(ctx) // owned by c: Close cancels ctx and waits for joined
	return c, nil
}

// Client returns the library's client, waiting for the connection until ctx ends, at most Timeout. It is replaced by
// another one when the whole cluster was lost: do not keep it.
func (c *Conn) Client(ctx context.Context) (*hazelcast.Client, error) {
	s, err := c.wait(ctx)
	if err != nil {
		return nil, err
	}
	return s.client, nil
}

// Map returns the map, as Client returns the client.
func (c *Conn) Map(ctx context.Context) (*hazelcast.Map, error) {
	s, err := c.wait(ctx)
	if err != nil {
		return nil, err
	}
	return s.entries, nil
}

func (c *Conn) wait(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	s, err := c.session(timed)
	if err != nil {
		return nil, c.classify(ctx, err)
	}
	return s, nil
}

// session returns the current session, waiting for one until ctx ends. Its error is one that NotSent knows.
func (c *Conn) session(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed, closed, failure := c.current, c.changed, c.closed, c.failure
		c.mu.Unlock()
		switch {
		case closed:
			return nil, c.closedError()
		case s != nil:
			return s, nil
		case refused(failure):
			return nil, &notConnectedError{server: c.Server(), cause: failure} // waiting would not help
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if failure == nil {
				failure = c.log.lastFailure()
			}
			return nil, &notConnectedError{server: c.Server(), cause: failure}
		}
	}
}

// publish makes s, or nothing for nil and the reason why, what calls use.
func (c *Conn) publish(s *session, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.failure = s, failure
	close(c.changed)
	c.changed = make(chan struct{})
}

// OnServer registers a hook as Options.OnServer does, and tells it of the cluster to which connections exist.
func (c *Conn) OnServer(hook func(server, identity string)) { c.hooks.add(hook) }

// Members returns the members of the cluster that the client knows, none while there is no connection.
func (c *Conn) Members() []Member {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.members.list()
}

// Server identifies the map without secrets: two URLs of one map give the same.
func (c *Conn) Server() string { return c.target.server() }

// Redacted returns the URL as it may be shown, without its password.
func (c *Conn) Redacted() string { return c.target.redacted() }

// String is Redacted, so that a printed Conn tells no secret.
func (c *Conn) String() string { return c.Redacted() }

// GoString is Redacted too: %#v would print the fields.
func (c *Conn) GoString() string { return fmt.Sprintf("hazelcastconn.Conn(%s)", c.Redacted()) }

// Timeout is the bound of every call.
func (c *Conn) Timeout() time.Duration { return c.target.opts.Timeout }

// MapName is the name of the map.
func (c *Conn) MapName() string { return c.target.opts.Map }

// Close ends the calls under way, shuts the client down and waits for both. Calls after it return sentinel.ErrClosed.
// Idempotent; every Close returns after the first is through.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	if first {
		c.closed = true
		close(c.changed)
		c.changed = make(chan struct{})
	}
	c.mu.Unlock()
	if !first {
		<-c.done
		return nil
	}
	defer close(c.done)
	c.stop()
	<-c.joined // the client is gone, which ends its calls
	c.calls.Wait()
	return nil
}

// begin counts a call, unless the connection is closed.
func (c *Conn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.closedError()
	}
	c.calls.Add(1)
	return nil
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Conn) closedError() error {
	return fmt.Errorf("hazelcastconn: %s: %w", c.Server(), sentinel.ErrClosed)
}
