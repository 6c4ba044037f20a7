package redisjournal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

func TestAServerThatMayLoseWritesIsRefusedUnlessThatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options server.RedisOptions
		setting string // "" if the server is taken
	}{
		{"no append-only file", server.RedisOptions{}, "appendonly is no"},
		{"snapshots alone", server.RedisOptions{Args: []string{"--save", "3600 1"}}, "appendonly is no"},
		{"evicts", server.RedisOptions{Persist: true, Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}}, "maxmemory-policy is allkeys-lru"},
		{"evicts at random", server.RedisOptions{Persist: true, Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random"}}, "maxmemory-policy is allkeys-random"},
		{"evicts what expires", server.RedisOptions{Persist: true, Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"}}, ""},
		{"evicts nothing", server.RedisOptions{Persist: true, Args: []string{"--maxmemory", "100mb"}}, ""},
		{"evicts without a limit", server.RedisOptions{Persist: true, Args: []string{"--maxmemory-policy", "allkeys-lru"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Redis(t, &c.options)
			q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{})
			for range 2 {
				err := q.Append(t.Context(), patience, sets(0, 1))[0].Err
				if c.setting == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				var volatile *redisjournal.VolatileError
				if !errors.As(err, &volatile) || volatile.Setting != c.setting || volatile.Server != s.Addr()+"/0" || !errors.Is(err, journal.ErrNotWritten) {
					t.Errorf("%v, want a VolatileError of %q, and ErrNotWritten", err, c.setting)
				}
				if errors.Is(err, journal.ErrUnavailable) {
					t.Errorf("%v is ErrUnavailable, and waiting does not help", err)
				}
				if pendingAt(t, q, "key 0") != 0 {
					t.Error("it was accepted")
				}
			}
			accept(t, openQueue(t, openJournal(t, s.URL(), &redisjournal.Options{AllowVolatile: true}), journal.Options{}), sets(0, 1)...)
		})
	}
}

func TestAServerThatIsReplacedByAVolatileOneIsRefused(t *testing.T) {
	t.Parallel()
	g := servertest.Sentinel(t, &server.SentinelOptions{Replicas: 1})
	primary, err := g.Primary(t.Context())
	servertest.Require(t, err)
	for _, n := range g.Nodes() {
		command(t, n, "config", "set", "save", "")
		if n == primary {
			persist(t, n)
		}
	}
	q := openQueue(t, openJournal(t, g.URL(), nil), journal.Options{})
	until(t, "an append-only file", func() bool { return q.Append(t.Context(), patience, sets(0, 1))[0].Err == nil })
	servertest.Require(t, primary.Kill())
	next, err := g.AwaitFailover(t.Context(), primary)
	servertest.Require(t, err)
	var volatile *redisjournal.VolatileError
	until(t, "a refusal", func() bool {
		r := q.Append(t.Context(), patience, sets(1, 1))[0]
		if r.Err == nil {
			t.Fatal("it was accepted")
		}
		return errors.As(r.Err, &volatile)
	})
	if volatile.Server != next.Addr()+"/0" {
		t.Errorf("%v does not name %s", volatile, next.Addr())
	}
}

func TestAServerThatRestartsAsAVolatileOneIsNoticed(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t, &server.RedisOptions{KeepFolder: true}) // which forgets what it is told at run time
	persist(t, s)
	q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{})
	until(t, "an append-only file", func() bool { return q.Append(t.Context(), patience, sets(0, 1))[0].Err == nil })
	servertest.Require(t, s.Restart(context.Background()))
	// The library replaces connections without a word, so that no call has failed.
	r := q.Append(t.Context(), patience, sets(1, 1))[0]
	if !errors.As(r.Err, new(*redisjournal.VolatileError)) {
		t.Errorf("%v, want a VolatileError", r.Err)
	}
}

func TestAUserWhoMayNotAskWhatTheServerIsIsTold(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	url := setUser(t, s, "blind", []string{"~*", "+@all", "-info"})
	q := openQueue(t, openJournal(t, url, nil), journal.Options{})
	err := q.Append(t.Context(), patience, sets(0, 1))[0].Err
	if !errors.Is(err, journal.ErrNotWritten) || !strings.Contains(err.Error(), "info") || !strings.Contains(err.Error(), "blind") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v, want ErrNotWritten, and the user and info by name", err)
	}
	accept(t, openQueue(t, openJournal(t, url, &redisjournal.Options{AllowVolatile: true}), journal.Options{}), sets(0, 1)...)
}

// persist begins an append-only file, and waits for the process that writes its first part: it would go on when the server is killed.
func persist(t *testing.T, s *server.Server) {
	t.Helper()
	command(t, s, "config", "set", "appendonly", "yes")
	until(t, "an append-only file", func() bool {
		info := fmt.Sprint(command(t, s, "info", "persistence"))
		return strings.Contains(info, "aof_enabled:1") && strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
	})
}

// setUser gives the server a user, and returns its URL with it.
func setUser(t *testing.T, s *server.Server, name string, rules []string) string {
	t.Helper()
	ask(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		args := []any{"ACL", "SETUSER", name, "reset", "on", ">open sesame"}
		for _, r := range rules {
			args = append(args, r)
		}
		return c.Client().Do(ctx, args...).Err()
	})
	return strings.Replace(s.URL(), "://", "://"+name+":open%20sesame@", 1)
}
