package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is one server on the loopback interface, running or not. Its methods may be called concurrently; those that
// change its state wait for each other.
type Server struct {
	spec spec
	addr string
	url  string

	// turn holds one token: the right to change the fields below. A channel and not a mutex, because its holder waits
	// for processes, and because others must be able to give up with their context.
	turn    chan struct{}
	dir     string // this run's folder; "" when there is none
	closed  bool
	foreign bool // made by Attach

	running atomic.Pointer[process] // nil when stopped; written by the holder of turn only
}

// spec is what differs between the kinds of server.
type spec struct {
	name    string
	port    int           // 0: draw a free one
	startIn time.Duration // limit for one start, whatever the caller's context allows
	stopIn  time.Duration // how long Stop waits before it kills
	keepDir bool          // the folder survives a restart

	// endBy is the signal by which Stop and Restart ask it to end, if it is not the usual one.
	endBy syscall.Signal

	command func(dir string, port int) (argv []string, err error)
	ready   func(ctx context.Context, addr string, p *process) error
	url     func(addr string) string
}

// start makes a Server of a spec and starts it. A drawn port that another process took meanwhile is drawn again.
func start(ctx context.Context, sp spec) (*Server, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	tries := 5
	if sp.port != 0 {
		tries = 1
	}
	var last error
	for range tries {
		port := sp.port
		if port == 0 {
			var err error
			if port, err = FreePort(); err != nil {
				return nil, err
			}
		}
		s := &Server{spec: sp, addr: loopback(port), turn: make(chan struct{}, 1)}
		s.spec.port = port
		s.url = sp.url(s.addr)
		s.turn <- struct{}{}
		if last = s.Restart(ctx); last == nil {
			return s, nil
		}
		if err := s.Close(); err != nil {
			return nil, errors.Join(last, err)
		}
		if !errors.Is(last, errExited) {
			break
		}
	}
	return nil, last
}

// Attach wraps the URL of a server that somebody else runs, so that code written for a Server can use it. Its lifecycle
// calls return ErrNotOwned, except Close, which does nothing.
func Attach(rawURL string) (*Server, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("server: attach: %w", err)
	}
	if u.Scheme == "" || u.Host == "" {
		return nil, errors.New("server: attach: the URL needs a scheme and a host")
	}
	s := &Server{spec: spec{name: u.Scheme}, addr: u.Host, url: rawURL, turn: make(chan struct{}, 1), foreign: true}
	s.turn <- struct{}{}
	return s, nil
}

// URL is what backend.Open takes, such as redis://127.0.0.1:20001. It stays the same across restarts.
func (s *Server) URL() string { return s.url }

// Addr is host:port. It stays the same across restarts.
func (s *Server) Addr() string { return s.addr }

// Pid is the process id of the server itself (not of its supervisor), or 0 when it does not run or is not ours.
func (s *Server) Pid() int {
	if p := s.running.Load(); p != nil && !p.exited() {
		return p.pid
	}
	return 0
}

// Dir is the server's folder, "" while there is none.
func (s *Server) Dir() string {
	<-s.turn
	defer s.release()
	return s.dir
}

// Restart starts the server again on its port, after stopping it if it still runs, and waits until it answers. The
// context bounds the start only, not the life of the server. What it held is lost unless its options say otherwise.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if _, err := s.end((*process).stop); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.spec.startIn)
	defer cancel()
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "strata-"+s.spec.name+"-")
		if err != nil {
			return fmt.Errorf("server: folder: %w", err)
		}
		s.dir = dir
	}
	argv, err := s.spec.command(s.dir, s.spec.port)
	if err != nil {
		return err
	}
	p, err := startProcess(s.dir, argv)
	if err != nil {
		return fmt.Errorf("%w (%s)", err, s.spec.name)
	}
	if s.spec.endBy != 0 {
		p.endBy = s.spec.endBy
	}
	s.running.Store(p)
	err = p.await(ctx, func(ctx context.Context, p *process) error { return s.spec.ready(ctx, s.addr, p) })
	if err != nil {
		_, endErr := s.end(killNow)
		return errors.Join(fmt.Errorf("%w (%s at %s)", err, s.spec.name, s.addr), endErr)
	}
	return nil
}

// Stop asks the server to end and waits until it is gone; one that does not follow in time is killed, which is an error.
// A paused server is resumed for it. Stopping a stopped server does nothing.
func (s *Server) Stop() error {
	if err := s.acquire(context.Background()); err != nil {
		return err
	}
	defer s.release()
	graceful, err := s.end((*process).stop)
	if err == nil && !graceful {
		err = fmt.Errorf("server: %s at %s did not stop within %v and was killed", s.spec.name, s.addr, s.spec.stopIn)
	}
	return err
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it is gone.
func (s *Server) Kill() error {
	if err := s.acquire(context.Background()); err != nil {
		return err
	}
	defer s.release()
	if s.Pid() == 0 {
		return ErrNotRunning
	}
	_, err := s.end(killNow)
	return err
}

// Pause stops the server with SIGSTOP, and on Linux returns when all its threads stand still: its connections stay open
// and nobody answers. It is what a frozen machine or a
// blackholed network looks like to a client.
func (s *Server) Pause() error { return s.signal(true) }

// Resume lets a paused server run on.
func (s *Server) Resume() error { return s.signal(false) }

// Close ends the server and removes its folder. It may be called more than once; after it, other calls return ErrClosed.
func (s *Server) Close() error {
	<-s.turn
	defer s.release()
	if s.closed || s.foreign {
		return nil
	}
	s.closed = true
	s.spec.keepDir = false
	// Killed and not asked: what it holds is thrown away with its folder, and callers close dozens of servers.
	_, err := s.end(killNow)
	return err
}

func (s *Server) signal(pause bool) error {
	if err := s.acquire(context.Background()); err != nil {
		return err
	}
	defer s.release()
	pid := s.Pid()
	if pid == 0 {
		return ErrNotRunning
	}
	sig := sigResume
	if pause {
		sig = sigPause
	}
	if err := signalProcess(pid, sig); err != nil {
		return fmt.Errorf("server: signal %s: %w", s.spec.name, err)
	}
	if pause {
		if err := awaitStopped(pid); err != nil {
			return fmt.Errorf("server: pause %s: %w", s.spec.name, err)
		}
	}
	return nil
}

// acquire takes the turn, unless the server is closed or not ours.
func (s *Server) acquire(ctx context.Context) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return fmt.Errorf("server: %w", ctx.Err())
	}
	switch {
	case s.foreign:
		s.release()
		return ErrNotOwned
	case s.closed:
		s.release()
		return ErrClosed
	}
	return nil
}

func (s *Server) release() { s.turn <- struct{}{} }

func killNow(p *process, _ time.Duration) bool { p.kill(); return true }

// end ends the running process, if any, by the given means, and removes its folder unless that is to be kept. The caller
// holds the turn. A folder goes with its process and not with the Server, because only a running supervisor would remove
// it for an owner that is killed.
func (s *Server) end(by func(*process, time.Duration) bool) (graceful bool, err error) {
	graceful = true
	if p := s.running.Load(); p != nil {
		if !p.exited() {
			graceful = by(p, s.spec.stopIn)
		}
		s.running.Store(nil)
	}
	if s.dir != "" && !s.spec.keepDir {
		if err := os.RemoveAll(s.dir); err != nil {
			return graceful, fmt.Errorf("server: remove folder: %w", err)
		}
		s.dir = ""
	}
	return graceful, nil
}

// binary finds an executable, or says how to install it.
func binary(name, component string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &MissingError{Name: name, Component: component, Err: err}
	}
	return path, nil
}
