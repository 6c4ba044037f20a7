package wire

import (
	"net"
	"sync"
	"sync/atomic"
)

// A Server gives each connection to a handler that may do with it what no honest server does. Close it.
type Server struct {
	handler  func(net.Conn)
	listener net.Listener
	wg       sync.WaitGroup // the accepting goroutine and all handlers
	accepted atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu, as closed
	closed bool
}

// Listen starts a server on a free loopback port. The handler is called for each connection on a goroutine of its own; the
// connection is closed when it returns. It has to return when a read or write fails, as they do from Close on.
func Listen(handler func(net.Conn)) (*Server, error) {
	s := &Server{handler: handler, conns: map[net.Conn]struct{}{}}
	err := onFreePort(func(addr string) (err error) {
		s.listener, err = net.Listen("tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.wg.Go(s.serve) // ends when the listener is closed; joined by Close
	return s, nil
}

func (s *Server) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.accepted.Add(1)
		s.wg.Go(func() { // ends with the handler; joined by Close
			defer s.forget(c)
			defer c.Close()
			s.handler(c)
		})
		s.mu.Unlock()
	}
}

func (s *Server) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Addr returns the host and port at which s listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Accepted returns how many connections there have been.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// Close closes the listener and all connections, and waits for the handlers. It may be called twice.
func (s *Server) Close() error {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
