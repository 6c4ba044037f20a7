package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strata-cache/strata/feed"
)

// The pause between two tries.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// ErrRunning says that Run was called while it runs.
var ErrRunning = errors.New("the feed runs already")

// Stats are what a feed has counted since it was made.
type Stats struct {
	// Reading says that this feed is the one of its name that reads; others stand by.
	Reading bool
	// Changes counts the changes that the handler took, Missed how often it was told that some were missed.
	Changes, Missed uint64
	// Failures counts how often the feed began anew, because of the server, the network or the handler.
	Failures uint64
}

// session is what both feeds have in common: one connection at a time, replaced whenever anything fails.
type session struct {
	opts    Options
	config  *pgx.ConnConfig
	handler feed.Handler

	running                   atomic.Bool
	reading                   atomic.Bool
	changes, missed, failures atomic.Uint64
}

func newSession(url string, h feed.Handler, o *Options) (*session, error) {
	if h == nil {
		return nil, errors.New("pgfeed: the handler is nil")
	}
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	config, err := configure(url, opts.Timeout)
	if err != nil {
		return nil, err
	}
	return &session{opts: opts, config: config, handler: h}, nil
}

func (s *session) stats() Stats {
	return Stats{Reading: s.reading.Load(), Changes: s.changes.Load(), Missed: s.missed.Load(), Failures: s.failures.Load()}
}

// run serves connections until ctx ends.
func (s *session) run(ctx context.Context, serve func(context.Context, *pgx.Conn) error) error {
	if !s.running.CompareAndSwap(false, true) {
		return fmt.Errorf("pgfeed: run: %w", ErrRunning)
	}
	defer s.running.Store(false)
	pause := firstPause
	for {
		began := time.Now()
		err := s.connected(ctx, serve)
		s.reading.Store(false)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.failures.Add(1)
		if s.opts.OnError != nil {
			s.opts.OnError(err)
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
}

func (s *session) connected(ctx context.Context, serve func(context.Context, *pgx.Conn) error) error {
	var conn *pgx.Conn
	err := s.step(ctx, func(ctx context.Context) (err error) {
		conn, err = pgx.ConnectConfig(ctx, s.config.Copy())
		return err
	})
	if err != nil {
		return fmt.Errorf("pgfeed: connect to %s: %w", s.config.Host, err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end) // it says good-bye, so that the server gives the lock back at once
	}()
	return serve(ctx, conn)
}

// step bounds what happens at the server.
func (s *session) step(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return do(ctx)
}

// exec runs one statement.
func (s *session) exec(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (rows int64, err error) {
	err = s.step(ctx, func(ctx context.Context) error {
		tag, err := conn.Exec(ctx, sql, args...)
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

// await waits for a notification, until the interval is over: then it is "", and notified false.
func (s *session) await(ctx context.Context, conn *pgx.Conn) (payload string, notified bool, err error) {
	timed, cancel := context.WithTimeout(ctx, s.opts.Interval)
	defer cancel()
	n, err := conn.WaitForNotification(timed)
	switch {
	case err == nil:
		return n.Payload, true, nil
	case timed.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
		return "", false, nil
	}
	return "", false, fmt.Errorf("pgfeed: wait: %w", err)
}

// changed tells the handler of changes.
func (s *session) changed(ctx context.Context, changes []feed.Change) error {
	if err := contained("Changed", func() error { return s.handler.Changed(ctx, changes) }); err != nil {
		return err
	}
	s.changes.Add(uint64(len(changes)))
	return nil
}

// miss tells the handler that it missed changes.
func (s *session) miss(ctx context.Context) error {
	if err := contained("Missed", func() error { return s.handler.Missed(ctx) }); err != nil {
		return err
	}
	s.missed.Add(1)
	return nil
}

func contained(name string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("pgfeed: the handler's %s: %w", name, err)
		}
	}()
	return call()
}
