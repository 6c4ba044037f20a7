package redisjournal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

// A VolatileError says that a server may lose accepted writes by itself. It is journal.ErrNotWritten, but for writes that were
// accepted before the server was found to be another than it had been.
type VolatileError struct {
	Server  string // host:port/db
	Setting string // such as "appendonly is no"
}

func (e *VolatileError) Error() string {
	return fmt.Sprintf("%s may lose pending writes, as its setting %s; change that, or allow it by AllowVolatile", e.Server, e.Setting)
}

// A server is what a queue knows of the one that it is at.
type server struct {
	node *redisconn.Node

	// mu guards what follows. Nothing is sent under it.
	mu          sync.Mutex
	asked       bool
	connections uint64 // that were made to the node when it was asked
	err         error  // a *VolatileError, if it was found to be such
	clock       clock
}

// at returns what is known of a node: of another than before, nothing.
func (q *queue) at(n *redisconn.Node) *server {
	for {
		s := q.server.Load()
		if s != nil && s.node == n {
			return s
		}
		if q.server.CompareAndSwap(s, &server{node: n}) {
			continue
		}
	}
}

// current reports whether the server was asked since the last connection to it was made, and what was found.
func (s *server) current() (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked && s.connections == s.node.Connections(), s.err
}

// ask makes sure that what is known of the server is true of the one to which all connections lead, and of its clock. A connection that was
// made meanwhile may lead to one that has restarted: then it asks again.
func (q *queue) ask(ctx context.Context, s *server) error {
	for range 3 {
		before := s.node.Connections()
		words := [][]any{{"time"}}
		if !q.allowVolatile {
			words = append(words, []any{"info", "memory"}, []any{"info", "persistence"})
		}
		type answer struct {
			shown int64
			info  string
		}
		a, err := redisconn.DoAt(ctx, q.conn, s.node, func(ctx context.Context) (a answer, err error) {
			cmds := make([]redis.Cmder, len(words))
			for i, w := range words {
				cmds[i] = redis.NewCmd(ctx, w...)
			}
			q.conn.Exec(ctx, s.node, cmds)
			if a.shown, err = readTime(cmds[0].(*redis.Cmd)); err != nil {
				return a, err
			}
			for _, cmd := range cmds[1:] {
				text, err := cmd.(*redis.Cmd).Text()
				if err != nil {
					return a, fmt.Errorf("info, which tells whether the server keeps what it is given: %w", err)
				}
				a.info += text
			}
			return a, nil
		})
		if err != nil {
			return q.conn.Explain(s.node.Server(), err)
		}
		var found error
		if setting := volatile(a.info); setting != "" {
			found = &VolatileError{Server: s.node.Server(), Setting: setting}
		}
		s.mu.Lock()
		s.asked, s.connections, s.err = true, before, found
		s.clock.see(a.shown, mono.Now())
		s.mu.Unlock()
		if found != nil || before == s.node.Connections() {
			return found
		}
	}
	return nil
}

func readTime(cmd *redis.Cmd) (int64, error) {
	parts, err := cmd.Slice()
	if err != nil {
		return 0, err
	}
	if len(parts) == 2 {
		seconds, okSeconds := parts[0].(string)
		micros, okMicros := parts[1].(string)
		s, errS := strconv.ParseInt(seconds, 10, 64)
		m, errM := strconv.ParseInt(micros, 10, 64)
		if okSeconds && okMicros && errS == nil && errM == nil {
			return s*1e6 + m, nil
		}
	}
	return 0, senseless(parts)
}

// volatile returns the setting by which a server may lose what it has, or "". Policies volatile-… evict only keys that expire, which
// no queue has.
func volatile(info string) string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	switch {
	case len(fields) == 0: // nobody asked
		return ""
	case fields["maxmemory"] != "0" && strings.HasPrefix(fields["maxmemory_policy"], "allkeys-"):
		return "maxmemory-policy is " + fields["maxmemory_policy"]
	case fields["aof_enabled"] != "1":
		return "appendonly is no"
	}
	return ""
}

// isVolatile reports whether err is, or wraps, a *VolatileError.
func isVolatile(err error) bool { return errors.As(err, new(*VolatileError)) }

// notWritten is an error of a write that was not accepted, and will not be.
type notWritten struct{ cause error }

func (e *notWritten) Error() string   { return e.cause.Error() + " (not written)" }
func (e *notWritten) Unwrap() []error { return []error{journal.ErrNotWritten, e.cause} }
