package node

import (
	"context"
	"encoding/gob"
	"errors"
	"net"
	"sync"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/policy"
)

// Value is what is cached. It says itself whose it is. One that is stated before the source has it has the name of its version.
type Value struct {
	Key     int
	Version int64
}

// An Ask is what a node asks of the source.
type Ask struct {
	ID      int64
	Process history.Process
	Key     int
	Commit  bool  // a new version is to be made; otherwise the present one is read
	Name    int64 // of the new version, if it has one
}

// An Answer is the source's.
type Answer struct {
	ID      int64
	Version int64
}

var errSourceGone = errors.New("the connection to the source is gone")

// Source is the system of record, which is the coordinator. Its methods are safe for concurrent use.
type Source struct {
	process history.Process
	conn    net.Conn
	done    chan struct{}

	sending sync.Mutex // of asks
	asks    *gob.Encoder

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan int64 // guarded by mu, as last; nil when nothing more comes
}

// DialSource connects to the source.
func DialSource(ctx context.Context, addr string, p history.Process) (*Source, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Source{process: p, conn: conn, asks: gob.NewEncoder(conn), done: make(chan struct{}), waiting: map[int64]chan int64{}}
	// Owner: the Source. Stop signal: the end of the connection. Join: done, in Close.
	go s.listen()
	return s, nil
}

func (s *Source) listen() {
	defer close(s.done)
	answers := gob.NewDecoder(s.conn)
	for {
		var a Answer
		if answers.Decode(&a) != nil {
			break
		}
		s.mu.Lock()
		waiting := s.waiting[a.ID]
		delete(s.waiting, a.ID)
		s.mu.Unlock()
		if waiting != nil {
			waiting <- a.Version // has room
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		close(w)
	}
	s.waiting = nil
}

func (s *Source) ask(ctx context.Context, key int, commit bool, name int64) (int64, error) {
	answer := make(chan int64, 1)
	s.mu.Lock()
	if s.waiting == nil {
		s.mu.Unlock()
		return 0, errSourceGone
	}
	s.last++
	id := s.last
	s.waiting[id] = answer
	s.mu.Unlock()
	s.sending.Lock()
	err := s.asks.Encode(Ask{ID: id, Process: s.process, Key: key, Commit: commit, Name: name})
	s.sending.Unlock()
	if err != nil {
		return 0, errors.Join(errSourceGone, err)
	}
	select {
	case version, ok := <-answer:
		if !ok {
			return 0, errSourceGone
		}
		return version, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Load reads the present version of a key, slowly.
func (s *Source) Load(ctx context.Context, key int) (Value, error) {
	v, err := s.ask(ctx, key, false, 0)
	return Value{Key: key, Version: v}, err
}

// Commit makes a new version of a key.
func (s *Source) Commit(ctx context.Context, key int) (Value, error) {
	v, err := s.ask(ctx, key, true, 0)
	return Value{Key: key, Version: v}, err
}

// Refresh is Load with the tags of the key.
func (s *Source) Refresh(ctx context.Context, key int, _ *policy.Answer[Value]) policy.Answer[Value] {
	v, err := s.Load(ctx, key)
	return policy.Answer[Value]{Value: v, Err: err, Tags: tagsOf(key)}
}

// Store makes a new version of a key that has a name already.
func (s *Source) Store(ctx context.Context, key int, v Value) error {
	_, err := s.ask(ctx, key, true, v.Version)
	return err
}

// Delete is never asked for.
func (s *Source) Delete(context.Context, int) error { return policy.ErrNotWritten }

// Close ends the connection.
func (s *Source) Close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

var (
	_ policy.Source[int, Value]    = (*Source)(nil)
	_ policy.Refresher[int, Value] = (*Source)(nil)
)
