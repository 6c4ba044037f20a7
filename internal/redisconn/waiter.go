package redisconn

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Waiter has a connection of its own to a node, for commands that wait at the server: they take none of those that other
// calls share, and end at once when their context does. One goroutine uses it at a time.
type Waiter struct {
	conn   *Conn
	node   *Node
	client *redis.Client

	// mu guards what follows.
	mu      sync.Mutex
	sockets []net.Conn // at most one that is open
	ended   bool       // the command's context has: what is dialled yet is closed
}

// NewWaiter returns one. It does not dial. The caller closes it, before the Conn.
func (c *Conn) NewWaiter(n *Node) *Waiter {
	w := &Waiter{conn: c, node: n}
	o := c.target.clientOptions(n.addr)
	o.PoolSize, o.MinIdleConns = 1, 0
	dial := o.Dialer
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		socket, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sockets = append(w.sockets[:0], socket)
		if w.ended {
			_ = socket.Close() // who reads it finds out
		}
		return socket, nil
	}
	o.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if err := check(ctx, conn, n.as); err != nil {
			return &connectError{cause: err}
		}
		return nil
	}
	w.client = redis.NewClient(o)
	return w
}

// Node is where it waits.
func (w *Waiter) Node() *Node { return w.node }

// Do runs fn, which issues one command that lets the server wait for at most block, and classifies its error. When ctx ends the
// connection is closed: whether the server has done what was asked is not known then.
func (w *Waiter) Do(ctx context.Context, block time.Duration, fn func(context.Context, *redis.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.conn.begin(); err != nil {
		return err
	}
	defer w.conn.calls.Done()
	w.mu.Lock()
	w.ended = false
	w.mu.Unlock()
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { w.hangUp(); close(hung) })
	defer func() {
		if !stop() {
			<-hung // or it would end the next command
		}
	}()
	timed, cancel := context.WithTimeout(ctx, block+w.conn.Timeout())
	defer cancel()
	err := fn(timed, w.client)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return w.conn.Failed(w.node, err)
}

func (w *Waiter) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, s := range w.sockets {
		_ = s.Close()
	}
	w.sockets = nil
}

// Close ends its connection.
func (w *Waiter) Close() error { return w.client.Close() }
