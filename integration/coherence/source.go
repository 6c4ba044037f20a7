package coherence

import (
	"encoding/gob"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/integration/coherence/clock"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

const (
	// slowestLoad is how long the source takes at most. What it answers is as of a moment within that, in half of all
	// loads as of the very beginning.
	slowestLoad = 200 * time.Millisecond

	// slowestCommit is how long a commit takes at most, half before and half after it counts.
	slowestCommit = 4 * time.Millisecond
)

// source is the system of record. Nothing that goes wrong in a check goes wrong here.
type source struct {
	listener net.Listener
	loads    atomic.Int64
	serving  sync.WaitGroup
	done     chan struct{}

	mu          sync.Mutex
	versions    []int64 // guarded by mu, as what follows
	commits     []history.Commit
	holds       map[int]*hold
	commitHolds map[int]*hold
	conns       map[net.Conn]struct{}
	closed      bool
}

// A hold is a load or a commit that a script lets wait: the load has read the source, the commit does not count yet.
type hold struct {
	began   chan struct{}
	release chan struct{}
}

// newSource starts a source with keys whose versions are 1.
func newSource(keys int) (*source, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &source{listener: l, versions: make([]int64, keys), holds: map[int]*hold{}, commitHolds: map[int]*hold{}, conns: map[net.Conn]struct{}{}, done: make(chan struct{})}
	for i := range s.versions {
		s.versions[i] = 1
	}
	s.serving.Go(s.accept) // ends when Close closes the listener, and waits
	return s, nil
}

func (s *source) addr() string { return s.listener.Addr().String() }

func (s *source) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.serving.Go(func() { s.serve(conn) }) // ends with the connection, which Close closes
	}
}

func (s *source) serve(conn net.Conn) {
	var asked sync.WaitGroup
	defer func() {
		conn.Close()
		asked.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	}()
	var sending sync.Mutex
	asks, answers := gob.NewDecoder(conn), gob.NewEncoder(conn)
	for {
		var a node.Ask
		if asks.Decode(&a) != nil {
			return
		}
		asked.Go(func() { // ends by itself, or with done
			version := s.answer(a)
			sending.Lock()
			defer sending.Unlock()
			_ = answers.Encode(node.Answer{ID: a.ID, Version: version})
		})
	}
}

func (s *source) answer(a node.Ask) int64 {
	if a.Commit {
		s.mu.Lock()
		h := s.commitHolds[a.Key]
		delete(s.commitHolds, a.Key)
		s.mu.Unlock()
		if h != nil {
			close(h.began)
			select {
			case <-h.release:
			case <-s.done:
			}
			return s.commit(a)
		}
		s.sleep(rand.N(slowestCommit / 2))
		defer s.sleep(rand.N(slowestCommit / 2))
		return s.commit(a)
	}
	s.loads.Add(1)
	s.mu.Lock()
	version, h := s.versions[a.Key], s.holds[a.Key]
	delete(s.holds, a.Key)
	s.mu.Unlock()
	if h != nil {
		close(h.began)
		select {
		case <-h.release:
		case <-s.done:
		}
		return version
	}
	u := rand.Float64()
	takes := time.Millisecond + time.Duration(u*u*float64(slowestLoad-time.Millisecond)) // most are not that slow
	var before time.Duration
	if rand.IntN(2) == 0 {
		before = rand.N(takes)
		s.sleep(before)
		s.mu.Lock()
		version = s.versions[a.Key]
		s.mu.Unlock()
	}
	s.sleep(takes - before)
	return version
}

// commit makes a new version of a key.
func (s *source) commit(a node.Ask) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[a.Key]++
	s.commits = append(s.commits, history.Commit{Process: a.Process, Key: a.Key, Version: s.versions[a.Key], Name: a.Name, At: clock.Now()})
	return s.versions[a.Key]
}

// hold makes the next load of a key wait.
func (s *source) hold(key int) *hold {
	h := &hold{began: make(chan struct{}), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[key] = h
	return h
}

// holdCommit makes the next commit of a key wait. It counts when it is released, whatever became of who asked for it.
func (s *source) holdCommit(key int) *hold {
	h := &hold{began: make(chan struct{}), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitHolds[key] = h
	return h
}

// history returns all commits so far.
func (s *source) history() []history.Commit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]history.Commit(nil), s.commits...)
}

func (s *source) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.done:
	}
}

func (s *source) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	close(s.done)
	err := s.listener.Close()
	s.serving.Wait()
	return err
}
