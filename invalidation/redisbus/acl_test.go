package redisbus_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// documented returns the rules of the bus's user in docs/redis.md, without its name and password.
func documented(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(page), "ACL SETUSER strata on >PASSWORD ~{strata:*}:*")
	if !ok {
		t.Fatal("docs/redis.md has no user of the bus")
	}
	rules, _, _ = strings.Cut(rules, "```")
	return append([]string{"~{strata:*}:*"}, strings.Fields(rules)...)
}

// recentRules are what a user needs for frames to be kept.
var recentRules = []string{"+llen", "+lpop", "+rpush", "+lrange"}

func TestAUserWhoMayNotKeepFramesAnnouncesAllTheSame(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	for _, rule := range recentRules {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			rules := slices.DeleteFunc(documented(t), func(r string) bool { return r == rule })
			if len(rules) == len(documented(t)) {
				t.Fatalf("docs/redis.md does not have %s", rule)
			}
			flushed, name := make(chan invalidation.Event, 100), servertest.Key(t)
			bus, err := redisbus.Open(t.Context(), setUser(t, s, "no-"+rule[1:], rules), &redisbus.Options{
				Name: name, LogFrames: 1, // so that LPOP is needed
				Options: invalidation.Options{OnEvent: func(e invalidation.Event) {
					if e.Kind == invalidation.EventFlush {
						flushed <- e
					}
				}},
			})
			servertest.Require(t, err)
			defer bus.Close()
			n := attach(t, bus, bound)
			n.trustedNow(t)
			for _, key := range []string{"1", "2", "3"} {
				n.announce(t, key)
			}
			n.wait(t, "three keys", func(r *recorder) bool { return len(r.keys) == 3 })
			<-flushed // the first subscription
			client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
				// Lost to all: a place in the log that nobody got.
				return c.Client().HIncrBy(ctx, "{strata:"+name+"}:log", "n", 1).Err()
			})
			n.wait(t, "a flush", func(r *recorder) bool { return r.flushes > 1 })
			e := <-flushed
			if e.Reason != invalidation.FlushGap || e.Err == nil || !strings.Contains(strings.ToLower(e.Err.Error()), rule[1:]) {
				t.Errorf("%v: the event does not name %s", e, rule[1:])
			}
			n.trustedNow(t)
		})
	}
}

func TestAUserWhoMayNotLetFramesExpireMissesNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	rules := slices.DeleteFunc(documented(t), func(r string) bool { return r == "+pexpire" })
	if len(rules) == len(documented(t)) {
		t.Fatal("docs/redis.md does not have +pexpire")
	}
	n := openNodeAt(t, setUser(t, s, "no-pexpire", rules))
	n.trustedNow(t)
	n.announce(t, "1")
	client(t, s, killSubscriptions)
	n.announce(t, "2")
	n.wait(t, "two keys", func(r *recorder) bool { return len(r.keys) == 2 })
	if flushes, _ := n.counts(); flushes != 1 {
		t.Errorf("%d flushes: %v", flushes, n.bus.Stats().Flushes)
	}
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		frames, err := c.Client().LLen(ctx, "{strata:bus}:recent").Result()
		if frames == 0 {
			t.Error("no frames are kept")
		}
		return err
	})
}

// setUser gives the server a user, and returns its URL with it.
func setUser(t *testing.T, s *server.Server, name string, rules []string) string {
	t.Helper()
	client(t, s, func(ctx context.Context, c *redisconn.Conn) error {
		args := []any{"ACL", "SETUSER", name, "reset", "on", ">open sesame"}
		for _, r := range rules {
			args = append(args, r)
		}
		return c.Client().Do(ctx, args...).Err()
	})
	return strings.Replace(s.URL(), "://", "://"+name+":open%20sesame@", 1)
}

func TestTheDocumentedUserSufficesForTheBus(t *testing.T) {
	t.Parallel()
	s := servertest.Redis(t)
	url := setUser(t, s, "app", documented(t))
	a, b := openNodeAt(t, url), openNodeAt(t, url)
	a.trustedNow(t)
	b.trustedNow(t)
	heard(t, a, b, "key")
	woken, stop := b.bus.Woken("topic")
	defer stop()
	a.bus.Wake("topic")
	<-woken
	r, err := invalidation.Register(a.bus, "pool")
	servertest.Require(t, err)
	if _, _, err := r.Swap(t.Context(), []byte("value"), 0); err != nil {
		t.Error(err)
	}
	if value, _, err := r.Load(t.Context()); err != nil || string(value) != "value" {
		t.Errorf("%q %v", value, err)
	}
}

func TestAPermissionThatTheBusLacksNamesItself(t *testing.T) {
	t.Parallel()
	shared := servertest.Redis(t)
	rules := documented(t)
	for _, rule := range rules {
		names, ok := strings.CutPrefix(rule, "+")
		switch {
		case rule == "resetchannels", rule == "+subscribe", rule == "+hmget", rule == "+time": // the last two are the registers'
			continue
		case rule == "+pexpire": // nothing fails without it
			continue
		case slices.Contains(recentRules, rule):
			continue
		case strings.HasPrefix(rule, "&"):
			names = "channel"
		case !ok:
			names = "key"
		}
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			s := shared
			if rule == "+eval" || rule == "+hset" { // to be seen where nothing is there yet
				s = servertest.Redis(t)
			}
			user := "no-" + strings.NewReplacer("|", "-").Replace(names)
			url := setUser(t, s, user, slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == rule }))
			bus, err := redisbus.Open(t.Context(), url+"?timeout=10s", nil)
			servertest.Require(t, err)
			defer bus.Close()
			a, err := bus.Attach("products", "v1", bound, newRecorder())
			servertest.Require(t, err)
			_, err = a.Announce(t.Context(), invalidation.Message{Verb: invalidation.VerbClear})
			if !errors.Is(err, sentinel.ErrDenied) {
				t.Fatalf("%v, want ErrDenied", err)
			}
			for _, want := range []string{names, user, s.Addr()} {
				if !strings.Contains(strings.ToLower(err.Error()), want) {
					t.Errorf("%q does not name %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("%q tells the password", err)
			}
		})
	}
}
