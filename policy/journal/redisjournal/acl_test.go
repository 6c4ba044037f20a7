package redisjournal_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
)

// documented returns the rules of the journal's user in docs/journals.md, without its name and password.
func documented(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/journals.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(page), "ACL SETUSER strata on >PASSWORD ")
	if !ok {
		t.Fatal("docs/journals.md has no user")
	}
	rules, _, _ = strings.Cut(rules, "```")
	return strings.Fields(rules)
}

// tour does everything that a queue can, and returns all errors.
func tour(t *testing.T, url string) (failed error) {
	t.Helper()
	j := openJournal(t, url+"?timeout=10s", nil)
	q, err := j.Open(t.Name(), (&journal.Options{}).WithDefaults())
	servertest.Require(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	note := func(err error) { failed = errors.Join(failed, err) }
	accept := func(w journal.Write) { note(q.Append(ctx, patience, []journal.Write{w})[0].Err) }
	take := func() []journal.Entry {
		if failed != nil {
			return nil
		}
		e, err := q.Take(ctx, 1)
		note(err)
		return e
	}
	accept(set("k", "1"))
	accept(set("k", "2"))
	e := take()
	note(q.Keep(ctx, e))
	note(q.Return(ctx, e))
	e = take()
	note(q.Bury(ctx, e, slices.Repeat([]string{"cause"}, len(e))))
	_, err = q.Stats(ctx)
	note(err)
	note(q.Done(ctx, e))
	note(q.Dead(ctx, func(journal.DeadLetter) bool { return true }))
	_, err = q.Retry(ctx)
	note(err)
	note(q.List(ctx, func(journal.Entry) bool { return true }))
	note(q.Done(ctx, take()))
	_, err = q.Purge(ctx)
	note(err)
	short, stop := context.WithTimeout(ctx, 200*time.Millisecond) // it looks around when there is nothing
	defer stop()
	if _, err = q.Take(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		note(err)
	}
	note(q.Close())
	return failed
}

func TestTheDocumentedUserSuffices(t *testing.T) {
	t.Parallel()
	if err := tour(t, setUser(t, persistent(t), "app", documented(t))); err != nil {
		t.Error(err)
	}
}

func TestAPermissionThatIsMissingNamesItself(t *testing.T) {
	t.Parallel()
	shared := persistent(t)
	rules := documented(t)
	for _, rule := range rules {
		names, ok := strings.CutPrefix(rule, "+")
		switch {
		case rule == "resetchannels":
			continue
		case !ok:
			names = "key"
		}
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			s := shared
			if rule == "+eval" { // to be seen where no script is there yet
				s = persistent(t)
			}
			user := "no-" + strings.ReplaceAll(names, "|", "-")
			err := tour(t, setUser(t, s, user, slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == rule })))
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
