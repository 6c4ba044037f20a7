package memcachedconn

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/sentinel"
)

// A Pool is a set of servers. Its methods, and those of its owners, are safe for concurrent use, also with Close.
type Pool struct {
	seeds    []string // by name
	secure   bool
	opts     Options
	markKey  string
	standing atomic.Pointer[standing]
	keeper   *keeper // nil: the servers are the seeds, for ever
	native   *memcache.Client
	ctx      context.Context // ends with Close; it ends dialling
	cancel   context.CancelFunc

	mu      sync.Mutex
	closed  bool                            // guarded by mu
	servers []*Server                       // guarded by mu; those of the past too while they are in use
	hooks   []func(server, identity string) // guarded by mu; replaced, never changed in place
	calls   sync.WaitGroup                  // Add only under mu while not closed
}

// Open returns the pool that the URL names. It does not talk to the servers. A bad URL or bad options fail with every
// problem.
func Open(rawURL string, o *Options) (*Pool, error) {
	t, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	p := &Pool{seeds: t.servers, secure: t.secure, opts: t.opts, markKey: markKey(&t.opts)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.native = memcache.NewFromSelector(selector{p})
	p.native.Timeout = p.opts.Timeout
	p.native.MaxIdleConns = p.opts.Connections
	p.native.DialContext = p.dialNative
	if p.opts.Membership != nil {
		p.keeper = newKeeper(p)
		return p, nil
	}
	l := list{Members: make(map[string]tenancy)}
	for _, name := range p.seeds {
		l.Members[name] = tenancy{}
	}
	p.standing.Store(fixed(newRoster(l, func(name string) *Server {
		s := newServer(p, name)
		p.servers = append(p.servers, s)
		return s
	})))
	return p, nil
}

// Options returns the settings, defaults and URL included.
func (p *Pool) Options() Options { return p.opts }

// Native returns a plain gomemcache client of the same servers and the same placement of keys, with connections of its
// own and none of this package's care. It belongs to p.
func (p *Pool) Native() *memcache.Client { return p.native }

// String names the servers of the URL, as a URL.
func (p *Pool) String() string {
	if p.secure {
		return schemeSecure + "://" + strings.Join(p.seeds, ",")
	}
	return scheme + "://" + strings.Join(p.seeds, ",")
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
		if p.keeper != nil {
			p.keeper.tasks.Wait()
		}
		p.mu.Lock()
		servers := p.servers
		p.mu.Unlock()
		for _, s := range servers {
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

// selector places the keys of the native client: those that begin as ours do go where ours go.
type selector struct{ p *Pool }

func (s selector) PickServer(key string) (net.Addr, error) {
	if len(key) > MaxPrefix && key[tagLen] == ':' {
		key = key[MaxPrefix:]
	}
	owner := s.p.Pick(key)
	if owner.server == nil {
		return nil, s.p.unknown(nil)
	}
	return owner.server.addr, nil
}

func (s selector) Each(f func(net.Addr) error) error {
	st := s.p.standing.Load()
	if st.roster == nil {
		return s.p.unknown(st.err)
	}
	for _, server := range st.roster.members {
		if err := f(server.addr); err != nil {
			return err
		}
	}
	return nil
}
