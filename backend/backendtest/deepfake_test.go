package backendtest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A site is a server and its network, for the suite in depth to be tested with.
type site struct {
	mu       sync.Mutex
	data     *backend.Store                           // guarded by mu, as what follows
	fault    string                                   // what is played; "" for nothing
	healed   chan struct{}                            // closed and replaced by Heal
	moved    bool                                     // to another address
	changes  int                                      // how often what happens once has happened
	rewrite  func(conn int) func(reply []byte) []byte // nil for none
	conns    int
	password string
}

func newSite(t *testing.T) *site {
	s := &site{data: memory.New(nil), healed: make(chan struct{})}
	t.Cleanup(func() { s.store().Close() })
	return s
}

func (s *site) store() *backend.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

func (s *site) Play(fault string, _ ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch fault {
	case "cut", "half-open-server", "half-open-client":
		s.changes++
	case "reset-after-some":
		return fmt.Errorf("fake: %w", errors.ErrUnsupported)
	default:
		s.fault = fault
	}
	return nil
}

func (s *site) Rewrite(f func(conn int) func(reply []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewrite = f
}

func (s *site) Heal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.rewrite = "", nil
	close(s.healed)
	s.healed = make(chan struct{})
	return nil
}

func (s *site) Servers() int { return 1 }

func (s *site) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *site) opened(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns += n
}

// restart empties the site.
func (s *site) restart(*testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.Close()
	s.data = memory.New(nil)
	s.changes++
}

func (s *site) move(*testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
}

// A flaw is one way to be wrong, and the rule that has to see it.
type flaw struct {
	rule string

	misses, blames, nameless, patient, sticky, crossed, believes, swallows, mixes, behind bool // of answers
	leaksConns, leaksGoroutines, greedy, keepsData, neverMoves                            bool // of what it holds
	tells, silent, polite                                                                 bool // of what it is told about itself
}

// A deepClient is a driver for a site, right or wrong in one way.
type deepClient struct {
	site     *site
	flaw     flaw
	password string
	room     chan struct{} // one token for each call that may be under way
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	conns int               // guarded by mu, as what follows
	seen  int               // changes of the site
	stuck bool              // of a flaw
	kept  map[string][]byte // of a flaw
	left  []byte            // of a flaw
}

func (c *deepClient) fail(text string) error {
	switch {
	case c.flaw.blames:
		return context.DeadlineExceeded
	case c.flaw.nameless:
		return fmt.Errorf("%s: %w", text, sentinel.ErrUnavailable)
	}
	return fmt.Errorf("fake: %s: %w", text, sentinel.ErrUnavailable)
}

// reach waits for a connection and for the server. The caller gives the token back.
func (c *deepClient) reach(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := timeout
	if c.flaw.patient {
		limit *= 15
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case c.room <- struct{}{}:
	default:
		if c.flaw.greedy {
			c.connect()
			break
		}
		select {
		case c.room <- struct{}{}:
		case <-timer.C:
			return c.fail("all connections are busy")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.connect()
	s := c.site
	s.mu.Lock()
	fault, healed, changes, moved := s.fault, s.healed, s.changes, s.moved
	wrong := c.password != s.password
	s.mu.Unlock()
	switch {
	case wrong && c.flaw.tells:
		return c.fail("wrong password: " + c.password)
	case wrong && c.flaw.silent:
		return c.fail("no")
	case wrong && !c.flaw.polite:
		return c.fail("wrong password")
	case moved && c.flaw.neverMoves:
		return c.fail("nobody is there")
	}
	c.mu.Lock()
	once := changes > c.seen
	c.seen = changes
	if c.flaw.sticky && (once || fault != "") {
		c.stuck = true
	}
	stuck := c.stuck
	c.mu.Unlock()
	switch {
	case once, stuck:
		return c.fail("reset")
	case fault == "few-ms-each-packet":
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			if c.flaw.leaksGoroutines {
				go func() { <-c.closed }() // ends when the client is closed, which is too late
			}
			return ctx.Err()
		}
	case fault == "refused", fault == "reset-in-reply", fault == "garbage":
		return c.fail(fault)
	case fault != "" && fault != "byte-flips":
		select {
		case <-healed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closed:
			return fmt.Errorf("fake: %w", sentinel.ErrClosed)
		case <-timer.C:
			return c.fail("no answer")
		}
	}
	return nil
}

// connect opens a connection, unless there are as many as calls may be under way.
func (c *deepClient) connect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns < cap(c.room) || c.flaw.greedy {
		c.conns++
		c.site.opened(1)
	}
}

func (c *deepClient) leave() {
	select {
	case <-c.room:
	default: // a greedy one has taken no token
	}
}

func (c *deepClient) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	err := c.reach(ctx)
	defer c.leave()
	if err != nil {
		for i := range results {
			if !c.flaw.misses {
				results[i].Err = err
			}
		}
		return results
	}
	for i, key := range keys {
		if results[i] = c.read(key); results[i].Record == nil && results[i].Err == nil && c.flaw.keepsData {
			c.mu.Lock()
			results[i].Record = bytes.Clone(c.kept[key])
			c.mu.Unlock()
		}
	}
	if n := len(results); c.flaw.crossed && n > 1 {
		results[0], results[1] = results[1], results[0]
	}
	return results
}

// read asks for one key. On the wire a reply is the key, a zero byte, the length of the record and the record.
func (c *deepClient) read(key string) driver.Result {
	s := c.site
	s.mu.Lock()
	rewrite, fault := s.rewrite, s.fault
	s.mu.Unlock()
	asked := []byte(key)
	if fault == "byte-flips" && c.flaw.mixes {
		asked[len(key)-1] ^= 1
	}
	b := s.store().Get(remote(), string(asked))[0].Record
	reply := append(binary.BigEndian.AppendUint32(append([]byte(key), 0), uint32(len(b))), b...)
	if fault == "byte-flips" && len(b) > 0 && !c.flaw.mixes {
		reply[len(reply)-1] ^= 1
	}
	if rewrite != nil {
		reply = rewrite(0)(reply)
	}
	if c.flaw.behind {
		c.mu.Lock()
		defer c.mu.Unlock()
		reply = append(c.left, reply...)
	}
	name, rec, ok := bytes.Cut(reply, []byte{0})
	if ok = ok && len(rec) >= 4 && len(rec)-4 >= int(binary.BigEndian.Uint32(rec)); ok {
		n := 4 + binary.BigEndian.Uint32(rec)
		if c.flaw.behind {
			c.left = bytes.Clone(rec[n:])
		}
		rec = rec[4:n]
	}
	switch {
	case !ok && c.flaw.swallows:
		_ = make([]byte, 256<<20)
		return driver.Result{Err: c.fail("a long reply")}
	case !ok && !c.flaw.believes, string(name) != key && !c.flaw.believes && !c.flaw.behind:
		return driver.Result{Err: c.fail("not what was asked for")}
	}
	if len(rec) == 0 {
		return driver.Result{}
	}
	return driver.Result{Record: rec}
}

func (c *deepClient) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	err := c.reach(ctx)
	defer c.leave()
	for i, op := range ops {
		if err == nil && c.site.lies() {
			err = c.fail("not what was asked for")
		}
		if err != nil {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
			continue
		}
		effects[i] = c.site.store().Write(remote(), op)[0]
		if c.flaw.keepsData && op.Verb == record.Add {
			c.mu.Lock()
			c.kept[op.Key] = op.Record
			c.mu.Unlock()
		}
	}
	return effects
}

// lies reports whether no reply is true.
func (s *site) lies() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rewrite != nil
}

func (c *deepClient) Ping(ctx context.Context) error {
	defer c.leave()
	return c.reach(ctx)
}

func (c *deepClient) String() string { return "fake" }

func (c *deepClient) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.flaw.leaksConns {
			c.site.opened(-c.conns)
		}
	})
	return nil
}

// deep makes the harness of a site whose clients are all wrong in the same way.
func deep(t *testing.T, f flaw) backendtest.Depth {
	s := newSite(t)
	opener := func(connections int, password string) func(*testing.T) *backend.Store {
		return func(*testing.T) *backend.Store {
			s.mu.Lock()
			seen := s.changes
			s.mu.Unlock()
			return backend.New(&deepClient{
				site: s, flaw: f, password: password, seen: seen, kept: map[string][]byte{},
				room: make(chan struct{}, connections), closed: make(chan struct{}),
			})
		}
	}
	patience := 10 * time.Second
	if f.rule != "" {
		patience = time.Second // it is lost
	}
	return backendtest.Depth{
		Harness:     backendtest.Harness{Open: opener(64, ""), Timeout: timeout},
		Topology:    "fake",
		Servers:     []string{"fake"},
		Network:     s,
		OpenSmall:   opener(4, ""),
		Connections: 4,
		NamesKeys:   true,
		Patience:    patience,
		Restarts:    []backendtest.Restart{{Name: "without-data", Do: s.restart}},
		Move:        &backendtest.Move{Open: opener(64, ""), Do: s.move},
		Lies: []backendtest.Lie{{Name: "nonsense", Rewrite: func(int) func([]byte) []byte {
			return func([]byte) []byte { return []byte("nonsense") }
		}}},
		Rejections: []backendtest.Rejection{{
			Name:    "wrong-password",
			Open:    func(t *testing.T) (*backend.Store, error) { return opener(64, "open sesame")(t), nil },
			Words:   []string{"fake", "wrong password"},
			Secrets: []string{"open sesame"},
		}},
	}
}
