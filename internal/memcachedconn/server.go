package memcachedconn

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/sentinel"
)

// A Server is one server of a pool, with its connections.
type Server struct {
	pool *Pool
	name string
	addr serverAddr
	room chan struct{} // one token for each call under way

	dials chan struct{} // one token for each connection that is being made
	back  chan struct{} // hints that a connection became idle

	mu     sync.Mutex
	closed bool               // guarded by mu
	left   bool               // guarded by mu; it is no member any more
	newest string             // guarded by mu; what the newest connection says of the server
	idle   []*slot            // guarded by mu; the last one was used last
	open   map[*slot]struct{} // guarded by mu; idle or in use
}

// maxDials is how many connections to a server are made at a time.
const maxDials = 8

// serverAddr is the address of one server, as gomemcache wants it.
type serverAddr string

func (a serverAddr) Network() string { return "tcp" }
func (a serverAddr) String() string  { return string(a) }

// A slot is one connection with a gomemcache client of its own, which knows no other connection: so a call knows its
// connection, and can end it.
type slot struct {
	conn   *conn
	client *memcache.Client
	given  bool      // client has the connection
	proven time.Time // when the last call on it ended well; zero: never
}

func newServer(p *Pool, name string) *Server {
	return &Server{
		pool: p,
		name: name,
		addr: serverAddr(name),
		room: make(chan struct{}, p.opts.Connections),

		dials: make(chan struct{}, maxDials),
		back:  make(chan struct{}, p.opts.Connections),
		open:  make(map[*slot]struct{}),
	}
}

// do is Owner.do on this server.
func (s *Server) do(ctx context.Context, deadline time.Time, fresh bool, o Owner, fn func(*Session) error) (sent, stale bool, err error) {
	if _, err := s.acquire(ctx, deadline, s.room, nil, errBusy); err != nil {
		return false, false, err
	}
	defer func() { <-s.room }()

	sl, err := s.take(ctx, deadline, fresh, o.roster)
	if err == ErrChanged {
		return false, false, err
	}
	if err != nil {
		return false, false, s.classify(ctx, err)
	}
	c := sl.conn
	reused := !sl.proven.IsZero()
	if err = c.begin(deadline); err != nil {
		c.broken = true
	} else {
		stop := context.AfterFunc(ctx, func() { c.Conn.SetDeadline(past) })
		session := Session{owner: o, slot: sl}
		err = fn(&session)
		if !stop() { // its deadline is, or is about to be, in the past
			c.broken = true
		}
	}
	sent = c.sent()
	switch {
	case err == nil:
		sl.proven = time.Now()
		s.put(sl)
		return sent, false, nil
	case errors.Is(err, errMoved):
		stale = reused
		s.dropIdle()
	case !c.broken:
		sl.proven = time.Now()
		s.put(sl)
		return sent, false, err // an answer
	case c.reply.refusal != "":
		err = &ReplyError{Server: s.name, Reply: c.reply.refusal}
	case reused && ctx.Err() == nil && !isTimeout(err):
		stale = true
		s.dropIdle() // the server restarted, most likely
	case reused && ctx.Err() == nil:
		// Whatever lies between may have forgotten the connections. Those that answered since this call began are kept:
		// when a server is merely slow, new connections would make it slower.
		s.dropUnproven(deadline.Add(-s.pool.opts.Timeout))
	}
	s.drop(sl)
	var reply *ReplyError
	if errors.As(err, &reply) {
		return sent, false, err
	}
	return sent, stale && !s.pool.isClosed(), s.classify(ctx, err)
}

// acquire puts a token into tokens, or returns got false when something comes out of instead first, which may be nil. late
// is the error when the time is over.
func (s *Server) acquire(ctx context.Context, deadline time.Time, tokens chan<- struct{}, instead <-chan struct{}, late error) (got bool, err error) {
	select {
	case tokens <- struct{}{}:
		return true, nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case tokens <- struct{}{}:
		return true, nil
	case <-instead:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-s.pool.ctx.Done():
		return false, sentinel.ErrClosed
	case <-timer.C:
		return false, &UnavailableError{Server: s.name, Cause: late}
	}
}

// take returns the connection used last, or a new one. If that is of another list than r it stays for others.
//
// A few connections are made at a time only. If all that are missing were made at once, with TLS, on a busy machine, none
// might be ready in time; then all would be given up, and all be made again, for ever.
func (s *Server) take(ctx context.Context, deadline time.Time, fresh bool, r *roster) (*slot, error) {
	back := s.back
	if fresh {
		back = nil
	}
	for {
		if sl := s.pop(r, fresh); sl != nil {
			return sl, nil
		}
		got, err := s.acquire(ctx, deadline, s.dials, back, errNoAnswer)
		if err != nil {
			return nil, err
		}
		if got {
			break
		}
	}
	defer func() { <-s.dials }()
	if sl := s.pop(r, fresh); sl != nil {
		return sl, nil
	}
	return s.connect(ctx, deadline, r)
}

// pop returns the connection used last, nil for none.
func (s *Server) pop(r *roster, fresh bool) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(s.idle); n > 0 && !fresh; n = len(s.idle) {
		sl := s.idle[n-1]
		s.idle = s.idle[:n-1]
		if sl.conn.roster == r {
			return sl
		}
		s.dropLocked(sl)
	}
	return nil
}

// connect returns a new connection.
func (s *Server) connect(ctx context.Context, deadline time.Time, r *roster) (*slot, error) {
	c, err := s.pool.dial(ctx, s, deadline)
	if err != nil {
		return nil, err
	}
	sl := newSlot(c, s.addr)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.left {
		c.raw.Close()
		if s.closed {
			return nil, sentinel.ErrClosed
		}
		return nil, ErrChanged
	}
	s.open[sl] = struct{}{}
	if says := c.says(); s.newest != says { // what was read and written before is out of date
		s.newest = says
		s.dropIdleLocked()
	}
	if c.roster != r {
		s.putLocked(sl)
		return nil, ErrChanged
	}
	return sl, nil
}

func newSlot(c *conn, addr net.Addr) *slot {
	sl := &slot{conn: c}
	sl.client = memcache.NewFromSelector(only{addr})
	sl.client.MaxIdleConns = 1
	sl.client.DialContext = func(context.Context, string, string) (net.Conn, error) {
		if sl.given {
			return nil, errTwice
		}
		sl.given = true
		return c, nil
	}
	return sl
}

// put gives a connection back, or closes it if it cannot be used again.
func (s *Server) put(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(sl)
}

func (s *Server) putLocked(sl *slot) {
	if s.closed || s.left || sl.conn.broken || sl.conn.says() != s.newest || len(s.idle) >= cap(s.room) {
		s.dropLocked(sl)
		return
	}
	s.idle = append(s.idle, sl)
	select {
	case s.back <- struct{}{}:
	default: // as many hints as connections are there
	}
}

func (s *Server) drop(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(sl)
}

func (s *Server) dropLocked(sl *slot) {
	sl.conn.raw.Close()
	delete(s.open, sl)
}

func (s *Server) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropIdleLocked()
}

// dropUnproven drops idle connections on which nothing ended well since then.
func (s *Server) dropUnproven(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.idle[:0]
	for _, sl := range s.idle {
		if sl.proven.Before(since) {
			s.dropLocked(sl)
		} else {
			kept = append(kept, sl)
		}
	}
	clear(s.idle[len(kept):])
	s.idle = kept
}

func (s *Server) dropIdleLocked() {
	for _, sl := range s.idle {
		s.dropLocked(sl)
	}
	clear(s.idle)
	s.idle = s.idle[:0]
}

// close closes all connections, those in use too: their calls end.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.idle = nil
	for sl := range s.open {
		sl.conn.raw.Close()
	}
	clear(s.open)
}

// retire closes what is idle, and reports whether there still is something in use.
func (s *Server) retire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	s.dropIdleLocked()
	return len(s.open) > 0 || len(s.room) > 0
}

// classify says what a failure of the connection means to the caller.
func (s *Server) classify(ctx context.Context, err error) error {
	var classified *UnavailableError
	switch {
	case s.pool.isClosed():
		return sentinel.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &classified):
		return err
	case isTimeout(err) && over(ctx):
		return context.DeadlineExceeded // the socket's timer was first, the context's is about to fire
	case isTimeout(err):
		err = errNoAnswer
	}
	return &UnavailableError{Server: s.name, Cause: err}
}

func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// only is a pool of one server.
type only struct{ addr net.Addr }

func (o only) PickServer(string) (net.Addr, error) { return o.addr, nil }
func (o only) Each(f func(net.Addr) error) error   { return f(o.addr) }
