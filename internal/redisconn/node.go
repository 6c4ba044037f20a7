package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/sentinel"
)

// A role is what a node is used for.
type role int

const (
	plain   role = iota // a server as it is
	primary             // checked on each new connection, as sentinels may be late
	reader              // a replica of a cluster, which answers reads only if told so
)

// A Node is one server of those that a Conn talks to. It stays what it is: another primary is another Node.
type Node struct {
	addr   string
	server string
	client *redis.Client
	as     role
	again  bool // a refusal of the credentials is asked about once more
	made   atomic.Uint64
}

// Server identifies the node's database, host:port/db.
func (n *Node) Server() string { return n.server }

// Client returns the library's client of this server alone. It repeats nothing.
func (n *Node) Client() *redis.Client { return n.client }

// Connections returns how many connections were made to the node: whoever has learnt something of the server asks again when
// there is a new one, as it may lead to one that has restarted. Those of a [Waiter] do not count.
func (n *Node) Connections() uint64 { return n.made.Load() }

// send sends commands, each after ASKING if so told, in one go. Each command then has its answer or its error.
func (n *Node) send(ctx context.Context, cmds []redis.Cmder, asking bool) {
	n.sendOnce(ctx, cmds, asking)
	if n.again && refusedCredentials(cmds[0].Err()) {
		for _, cmd := range cmds {
			cmd.SetErr(nil)
		}
		n.sendOnce(ctx, cmds, asking)
	}
}

func (n *Node) sendOnce(ctx context.Context, cmds []redis.Cmder, asking bool) {
	if len(cmds) == 1 && !asking {
		_ = n.client.Process(ctx, cmds[0]) // the command has the error
		return
	}
	pipe := n.client.Pipeline()
	for _, cmd := range cmds {
		if asking {
			_ = pipe.Process(ctx, redis.NewCmd(ctx, "asking"))
		}
		_ = pipe.Process(ctx, cmd)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		failAll(cmds, err)
	}
}

// failAll sets err on all commands if none has one: the library leaves them without where a new connection was refused.
func failAll(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return
		}
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// nodes makes the nodes of a Conn and keeps one for each address and role.
type nodes struct {
	target *target
	failed func() // called when something suggests that the servers are not what they were; nil where nobody cares

	// mu guards what follows. Nothing is sent or awaited under it.
	mu      sync.Mutex
	known   map[string]*Node
	retired map[*Node]*time.Timer
	closed  bool
}

func newNodes(t *target, failed func()) *nodes {
	return &nodes{target: t, failed: failed, known: map[string]*Node{}, retired: map[*Node]*time.Timer{}}
}

func nodeName(addr string, as role) string { return strconv.Itoa(int(as)) + addr }

// get returns the node at an address, which it makes at the first time.
func (s *nodes) get(addr string, as role) (*Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("redisconn: %s: %w", addr, sentinel.ErrClosed)
	}
	name := nodeName(addr, as)
	n := s.known[name]
	if n == nil {
		n = s.target.node(addr, as, s.failed)
		s.known[name] = n
	}
	return n, nil
}

// node makes a node. It does not dial, unless idle connections are wanted.
func (t *target) node(addr string, as role, failed func()) *Node {
	n := &Node{addr: addr, server: addr + "/" + strconv.Itoa(t.db), as: as, again: t.opts.Credentials != nil}
	o := t.clientOptions(addr)
	o.OnConnect = func(ctx context.Context, c *redis.Conn) error {
		err := check(ctx, c, as)
		if err == nil && t.opts.OnConnect != nil && as != reader {
			err = t.opts.OnConnect(ctx, n.server, c)
		}
		if err != nil {
			return &connectError{cause: err}
		}
		n.made.Add(1)
		return nil
	}
	n.client = redis.NewClient(o)
	if failed != nil {
		n.client.AddHook(watch(failed))
	}
	return n
}

var errReplica = errors.New("the sentinels' primary is a replica")

// check makes sure that a new connection leads to what it should.
func check(ctx context.Context, c *redis.Conn, as role) error {
	switch as {
	case primary:
		info, err := c.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "role:master") {
			return errReplica
		}
		return err
	case reader:
		return c.ReadOnly(ctx).Err()
	}
	return nil
}

// keep retires all nodes but those named. A retired node's calls may still end; then its connections are closed.
func (s *nodes) keep(names map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.known {
		if !names[name] && !s.closed {
			delete(s.known, name)
			s.retired[n] = time.AfterFunc(2*s.target.opts.Timeout, func() { s.bury(n) })
		}
	}
}

func (s *nodes) bury(n *Node) {
	s.mu.Lock()
	_, there := s.retired[n]
	delete(s.retired, n)
	s.mu.Unlock()
	if there {
		_ = n.client.Close() // nobody is left to tell
	}
}

func (s *nodes) close() error {
	s.mu.Lock()
	var all []*Node
	for _, n := range s.known {
		all = append(all, n)
	}
	for n, timer := range s.retired {
		timer.Stop()
		all = append(all, n)
	}
	s.known, s.retired, s.closed = nil, nil, true
	s.mu.Unlock()
	var errs []error
	for _, n := range all {
		errs = append(errs, n.client.Close())
	}
	return errors.Join(errs...)
}
