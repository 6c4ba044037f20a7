package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Options are the settings of a relay. All are required, save where a default stands.
type Options struct {
	// Seeds are the members to begin with, host:port.
	Seeds []string

	// Cluster, Username and Password are what the client introduces itself with. Username may be empty.
	Cluster, Username, Password string

	// Map is the map of strata. What is read from it is a byte string.
	Map string

	// TLS makes connections with the members. Without a ServerName a certificate has to be of the member's own host.
	// Default: no TLS.
	TLS *tls.Config

	// Dial bounds the making of a connection, TLS included, and Greet the introduction that follows.
	Dial, Greet time.Duration

	// Stall is how long a member or the library may take to read what was written to it.
	Stall time.Duration

	// Silence is how long a member may send nothing while a request waits.
	Silence time.Duration

	// MaxReply bounds what one message of a member may take in memory, in bytes.
	MaxReply int

	// OnMember is called on each new connection with the id of the cluster, before the connection is used. Default: nobody.
	OnMember func(cluster string)
}

// maxMembers bounds the addresses that lists of members may bring: each costs a port.
const maxMembers = 1000

// A Relay listens for the client library in the place of each member. Its methods may be called concurrently.
type Relay struct {
	opts   Options
	secret string
	ctx    context.Context // of dialling; ends at Close
	end    context.CancelFunc
	wg     sync.WaitGroup // all goroutines

	// mu guards what follows. Nothing blocks under it.
	mu        sync.Mutex
	closed    bool
	nodes     []Node
	listeners []net.Listener
	conns     map[net.Conn]struct{}
	failure   error // the last
	failedAt  time.Time
}

// A Node is a member and the loopback address at which the relay stands for it.
type Node struct{ Member, Relay string }

// New starts a relay.
func New(o *Options) (*Relay, error) {
	r := &Relay{opts: *o, secret: "strata-" + rand.Text(), conns: map[net.Conn]struct{}{}}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.know(o.Seeds); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Secret is what the library has to send as its only label.
func (r *Relay) Secret() string { return r.secret }

// Nodes returns the members that are known, the seeds first.
func (r *Relay) Nodes() []Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.nodes)
}

// Failure returns why the last connection failed or was cut since a point in time, nil if none was.
func (r *Relay) Failure(since time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failedAt.Before(since) {
		return nil
	}
	return r.failure
}

// Close closes all connections, and waits until all is over. It may be called twice.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	for _, l := range r.listeners {
		l.Close()
	}
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.end()
	r.wg.Wait()
	return nil
}

// know listens for members.
func (r *Relay) know(members []string) error {
	for _, m := range members {
		if err := r.listen(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *Relay) listen(member string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return net.ErrClosed
	case slices.ContainsFunc(r.nodes, func(n Node) bool { return n.Member == member }):
		return nil
	case len(r.nodes) >= maxMembers:
		return fmt.Errorf("more than %d members", maxMembers)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
			return fmt.Errorf("the relay for %s: %w", member, err)
		}
	}
	r.listeners = append(r.listeners, l)
	r.nodes = append(r.nodes, Node{member, l.Addr().String()})
	r.wg.Go(func() { r.serve(l, member) }) // ends when Close closes l, and waits
	return nil
}

func (r *Relay) serve(l net.Listener, member string) {
	for {
		library, err := l.Accept()
		switch {
		case err == nil:
			r.wg.Go(func() { r.pass(library, member) }) // ends with its connections, which Close closes
		case r.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // of a connection that ended at once, or for want of file descriptors
			pause := time.NewTimer(10 * time.Millisecond)
			select {
			case <-pause.C:
			case <-r.ctx.Done():
				pause.Stop()
			}
		}
	}
}

// track makes Close close c, which is closed at once if that is over.
func (r *Relay) track(c net.Conn) (forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.Close()
	}
	r.conns[c] = struct{}{}
	return func() {
		c.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
	}
}

// failed notes why a connection with a member ended.
func (r *Relay) failed(member string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.failure, r.failedAt = fmt.Errorf("%s: %w", member, err), time.Now()
	}
}
