package memcachedconn

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/sentinel"
)

// A Pool is a fixed set of servers. Its methods, and those of its servers, are safe for concurrent use, also with Close.
type Pool struct {
	servers []*Server // by name
	opts    Options
	native  *memcache.Client
	ctx     context.Context // ends with Close; it ends dialling
	cancel  context.CancelFunc

	mu     sync.Mutex
	closed bool                            // guarded by mu
	hooks  []func(server, identity string) // guarded by mu; replaced, never changed in place
	calls  sync.WaitGroup                  // Add only under mu while not closed
}

// Open returns the pool that the URL names. It does not talk to the servers. A bad URL or bad options fail with every
// problem.
func Open(rawURL string, o *Options) (*Pool, error) {
	names, opts, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	p := &Pool{opts: opts}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, name := range names {
		p.servers = append(p.servers, newServer(p, name))
	}
	p.native = memcache.NewFromSelector(selector{p})
	p.native.Timeout = opts.Timeout
	p.native.MaxIdleConns = opts.Connections
	return p, nil
}

// Servers returns the servers, by name. The slice must not be changed.
func (p *Pool) Servers() []*Server { return p.servers }

// Options returns the settings, defaults and URL included.
func (p *Pool) Options() Options { return p.opts }

// Native returns a plain gomemcache client of the same servers and the same placement of keys, with connections of its
// own and none of this package's care. It belongs to p.
func (p *Pool) Native() *memcache.Client { return p.native }

// String names the servers as a URL.
func (p *Pool) String() string {
	names := make([]string, len(p.servers))
	for i, s := range p.servers {
		names[i] = s.name
	}
	return scheme + "://" + strings.Join(names, ",")
}

// OnServer registers a hook that is called with a server's name and incarnation on each new connection before it is
// used. The hook must not use p.
func (p *Pool) OnServer(hook func(server, identity string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks = append(p.hooks[:len(p.hooks):len(p.hooks)], hook)
}

func (p *Pool) connected(server, identity string) {
	p.mu.Lock()
	hooks := p.hooks
	p.mu.Unlock()
	for _, hook := range hooks {
		hook(server, identity)
	}
}

// Close ends all calls, waits for them and closes all connections. Later calls fail with sentinel.ErrClosed. It is
// idempotent.
func (p *Pool) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if first {
		p.cancel()
		for _, s := range p.servers {
			s.close()
		}
	}
	p.calls.Wait()
	return p.native.Close()
}

// enter counts a call that Close waits for: p.calls.Done ends it.
func (p *Pool) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return sentinel.ErrClosed
	}
	p.calls.Add(1)
	return nil
}

func (p *Pool) isClosed() bool { return p.ctx.Err() != nil }

// dial returns a connection to s that has shaken hands.
func (p *Pool) dial(ctx context.Context, s *Server, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.name)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(past) })()
	tag, nonce, err := handshake(nc, p.opts.Pool)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	p.connected(s.name, tag)
	return &conn{Conn: nc, tag: tag, nonce: nonce, reply: replies{itemSize: p.opts.ItemSize}}, nil
}

// selector places the keys of the native client: those that begin as ours do go where ours go.
type selector struct{ p *Pool }

func (s selector) PickServer(key string) (net.Addr, error) {
	if len(key) > MaxPrefix && key[tagLen] == ':' {
		key = key[MaxPrefix:]
	}
	return s.p.Pick(key).addr, nil
}

func (s selector) Each(f func(net.Addr) error) error {
	for _, server := range s.p.servers {
		if err := f(server.addr); err != nil {
			return err
		}
	}
	return nil
}
