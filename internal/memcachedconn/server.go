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

// A Server is one server of a pool.
type Server struct {
	pool *Pool
	name string
	addr serverAddr
	seed uint64
	room chan struct{} // one token for each call under way

	mu     sync.Mutex
	closed bool               // guarded by mu
	tag    string             // guarded by mu; incarnation of the newest connection
	idle   []*slot            // guarded by mu; the last one was used last
	open   map[*slot]struct{} // guarded by mu; idle or in use
}

// serverAddr is the address of one server, as gomemcache wants it.
type serverAddr string

func (a serverAddr) Network() string { return "tcp" }
func (a serverAddr) String() string  { return string(a) }

// A slot is one connection with a gomemcache client of its own, which knows no other connection: so a call knows its
// connection, and can end it.
type slot struct {
	conn   *conn
	client *memcache.Client
	given  bool // client has the connection
	used   bool // by an earlier call
}

func newServer(p *Pool, name string) *Server {
	return &Server{
		pool: p,
		name: name,
		addr: serverAddr(name),
		seed: mix(hash(name)),
		room: make(chan struct{}, p.opts.Connections),
		open: make(map[*slot]struct{}),
	}
}

// String returns host:port.
func (s *Server) String() string { return s.name }

// Do runs fn with a connection and ends it when ctx or the time is over. sent is false if surely no whole command of fn
// left this process. Errors of fn that are an answer pass untouched; ctx's error too; any other is an *UnavailableError,
// a *ReplyError, or sentinel.ErrClosed.
func (s *Server) Do(ctx context.Context, fn func(*Session) error) (sent bool, err error) {
	sent, _, err = s.do(ctx, time.Now().Add(s.pool.opts.Timeout), false, fn)
	return sent, err
}

// Read is Do for an fn that may run twice: it does, on a new connection, if a pooled one turns out to be dead or of an
// earlier incarnation.
func (s *Server) Read(ctx context.Context, fn func(*Session) error) error {
	deadline := time.Now().Add(s.pool.opts.Timeout)
	_, stale, err := s.do(ctx, deadline, false, fn)
	if stale {
		_, _, err = s.do(ctx, deadline, true, fn)
	}
	return err
}

func (s *Server) do(ctx context.Context, deadline time.Time, fresh bool, fn func(*Session) error) (sent, stale bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, false, err
	}
	if err := s.pool.enter(); err != nil {
		return false, false, err
	}
	defer s.pool.calls.Done()
	if err := s.enter(ctx, deadline); err != nil {
		return false, false, err
	}
	defer func() { <-s.room }()

	sl, err := s.take(ctx, deadline, fresh)
	if err != nil {
		return false, false, s.classify(ctx, err)
	}
	c := sl.conn
	reused := sl.used
	sl.used = true
	if err = c.begin(deadline); err != nil {
		c.broken = true
	} else {
		stop := context.AfterFunc(ctx, func() { c.Conn.SetDeadline(past) })
		session := Session{slot: sl}
		err = fn(&session)
		if !stop() { // its deadline is, or is about to be, in the past
			c.broken = true
		}
	}
	sent = c.sent()
	switch {
	case err == nil:
		s.put(sl)
		return sent, false, nil
	case errors.Is(err, errMoved):
		stale = reused
		s.dropIdle()
	case !c.broken:
		s.put(sl)
		return sent, false, err // an answer
	case c.reply.refusal != "":
		err = &ReplyError{Server: s.name, Reply: c.reply.refusal}
	case reused && ctx.Err() == nil && !isTimeout(err):
		stale = true
		s.dropIdle() // the server restarted, most likely
	}
	s.drop(sl)
	var reply *ReplyError
	if errors.As(err, &reply) {
		return sent, false, err
	}
	return sent, stale && !s.pool.isClosed(), s.classify(ctx, err)
}

// enter waits until fewer than the highest number of calls are under way. The caller takes a token from room at the end.
func (s *Server) enter(ctx context.Context, deadline time.Time) error {
	select {
	case s.room <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case s.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.pool.ctx.Done():
		return sentinel.ErrClosed
	case <-timer.C:
		return &UnavailableError{Server: s.name, Cause: errBusy}
	}
}

// take returns the connection used last, or a new one.
func (s *Server) take(ctx context.Context, deadline time.Time, fresh bool) (*slot, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 && !fresh {
		sl := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return sl, nil
	}
	s.mu.Unlock()
	c, err := s.pool.dial(ctx, s, deadline)
	if err != nil {
		return nil, err
	}
	sl := newSlot(c, s.addr)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Conn.Close()
		return nil, sentinel.ErrClosed
	}
	s.open[sl] = struct{}{}
	if s.tag != c.tag { // what was read and written before is out of date
		s.tag = c.tag
		s.dropIdleLocked()
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
	if s.closed || sl.conn.broken || sl.conn.tag != s.tag || len(s.idle) >= cap(s.room) {
		s.dropLocked(sl)
		return
	}
	s.idle = append(s.idle, sl)
}

func (s *Server) drop(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(sl)
}

func (s *Server) dropLocked(sl *slot) {
	sl.conn.Conn.Close()
	delete(s.open, sl)
}

func (s *Server) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropIdleLocked()
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
		sl.conn.Conn.Close()
	}
	clear(s.open)
}

// classify says what a failure of the connection means to the caller.
func (s *Server) classify(ctx context.Context, err error) error {
	switch {
	case s.pool.isClosed():
		return sentinel.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
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
