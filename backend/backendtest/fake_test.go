package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/sentinel"
)

const timeout = 100 * time.Millisecond // of a client

// A server is a memory that can be stopped and paused, for the suite to be tested with.
type server struct {
	store *backend.Store

	mu     sync.Mutex
	down   bool          // guarded by mu, as paused
	paused chan struct{} // closed by resume; nil if not paused
}

func (s *server) stop()    { s.set(true, false) }
func (s *server) restart() { s.set(false, false) }
func (s *server) pause()   { s.set(false, true) }

func (s *server) set(down, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused != nil {
		close(s.paused)
		s.paused = nil
	}
	if s.down = down; paused {
		s.paused = make(chan struct{})
	}
}

// A client is a driver for a server, right or broken in one way.
type client struct {
	server *server
	broken mutant
	closed chan struct{}
	once   sync.Once

	late sync.WaitGroup // goroutines of a mutant
	mu   sync.Mutex     // a mutant's
}

// reach waits until the server answers.
func (c *client) reach(ctx context.Context) error {
	if c.broken.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-c.closed:
		return fmt.Errorf("fake: %w", sentinel.ErrClosed)
	default:
	}
	c.server.mu.Lock()
	down, paused := c.server.down, c.server.paused
	c.server.mu.Unlock()
	if down {
		return fmt.Errorf("fake: down: %w", sentinel.ErrUnavailable)
	}
	if paused == nil {
		return nil
	}
	limit := timeout
	if c.broken.patient {
		limit *= 15
	}
	select {
	case <-paused:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return fmt.Errorf("fake: %w", sentinel.ErrClosed)
	case <-time.After(limit):
		if c.broken.deadline {
			return context.DeadlineExceeded
		}
		return fmt.Errorf("fake: no answer: %w", sentinel.ErrUnavailable)
	}
}

// remote is the context of what the server does, which a caller cannot end.
func remote() context.Context { return context.Background() }

func (c *client) Get(ctx context.Context, keys []string) []driver.Result {
	if err := c.reach(ctx); err != nil {
		results := make([]driver.Result, len(keys))
		for i := range results {
			if !c.broken.misses || errors.Is(err, sentinel.ErrClosed) {
				results[i].Err = err
			}
		}
		return results
	}
	asked := make([]string, len(keys))
	for i, k := range keys {
		asked[i] = c.key(k)
	}
	results := c.server.store.Get(remote(), asked...)
	if c.broken.get != nil {
		c.broken.get(results)
	}
	return results
}

func (c *client) key(k string) string {
	if c.broken.key != nil {
		return c.broken.key(k)
	}
	return k
}

func (c *client) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	if err := c.reach(ctx); err != nil {
		for i, op := range ops {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
			if c.broken.sendsLater {
				c.late.Go(func() { // ends when the server answers or the client is closed; joined by Close
					for {
						select {
						case <-c.closed:
							return
						case <-time.After(timeout / 10):
							if c.reach(remote()) == nil {
								c.server.store.Write(remote(), op)
								return
							}
						}
					}
				})
			}
		}
		return effects
	}
	for i, op := range ops {
		op.Key = c.key(op.Key)
		if c.broken.write != nil {
			effects[i] = c.broken.write(c, op)
		} else {
			effects[i] = c.server.store.Write(remote(), op)[0]
		}
	}
	return effects
}

func (c *client) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := c.reach(ctx); err != nil {
		return 0, err
	}
	if c.broken.count != nil {
		return c.broken.count(c, key, delta, ttl)
	}
	return c.server.store.Count(remote(), c.key(key), delta, ttl)
}

func (c *client) Scan(ctx context.Context, prefix string, yield func([]string) bool) error {
	if err := c.reach(ctx); err != nil {
		return err
	}
	if c.broken.scan != nil {
		return c.broken.scan(c, prefix, yield)
	}
	return c.server.store.Scan(remote(), prefix, yield)
}

func (c *client) Ping(ctx context.Context) error { return c.reach(ctx) }
func (c *client) String() string                 { return "fake" }

func (c *client) Close() error {
	if c.broken.neverCloses {
		return nil
	}
	c.once.Do(func() { close(c.closed) })
	c.late.Wait()
	return nil
}

// harness makes a harness of a server whose clients are all broken in the same way.
func harness(t *testing.T, m mutant) backendtest.Harness {
	s := &server{store: memory.New(nil)}
	t.Cleanup(func() { s.store.Close() })
	return backendtest.Harness{
		Open: func(t *testing.T) *backend.Store {
			if s.mu.Lock(); s.down && m.needsServer {
				s.mu.Unlock()
				t.Fatal("cannot open while the server is down")
			}
			s.mu.Unlock()
			return backend.New(&client{server: s, broken: m, closed: make(chan struct{})})
		},
		Timeout:  timeout,
		Features: backendtest.Features{Counter: true, Scanner: true},
		Stop:     func(*testing.T) { s.stop() },
		Restart:  func(*testing.T) { s.restart() },
		Pause:    func(*testing.T) { s.pause() },
		Resume:   func(*testing.T) { s.restart() },
	}
}
