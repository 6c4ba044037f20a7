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
