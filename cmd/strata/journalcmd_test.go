package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

func TestWritesThatWaitAreListedAndDeadOnesRetriedAndPurged(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t, &server.RedisOptions{Persist: true}).URL()
	ctx := t.Context()
	j, err := redisjournal.Open(ctx, url+"?timeout=10s", nil)
	servertest.Require(t, err)
	defer j.Close()
	q, err := j.Open("products/1", (&journal.Options{}).WithDefaults())
	servertest.Require(t, err)
	env := []string{envJournal + "=" + url}
	expect := func(code int, out, err string, args ...string) ended {
		t.Helper()
		e := strata(t, "", "", env, append([]string{"journal"}, args...)...)
		if e.code != code || !strings.Contains(e.out, out) || !strings.Contains(e.err, err) {
			t.Errorf("strata journal %q: %+v; want exit code %d, %q, and %q on standard error", args, e, code, out, err)
		}
		return e
	}
	const name = "--name=products/1"
	expect(0, "", "0 pending", "ls", name)
	expect(0, "drained in", "", "drain", name)

	const odd = "odd \x1b \"key\""
	accepted := []journal.Write{
		{Key: "products/1/{1}", Value: []byte("value"), ID: journal.NewID()}, {Key: "products/1/{2}", Delete: true, ID: journal.NewID()},
		{Key: odd, ID: journal.NewID()}, {Key: "\xff", ID: journal.NewID()},
	}
	receipts := q.Append(ctx, time.Minute, accepted)
	for _, r := range receipts {
		servertest.Require(t, r.Err)
	}
	e := expect(0, "delete  products/1/{2}\n", "4 pending", "ls", name)
	if strings.Contains(e.out, "\x1b") || !strings.Contains(e.out, `"odd \x1b \"key\""`) {
		t.Errorf("a key that is no plain text: %q", e.out)
	}
	e = expect(0, "", "", "ls", "--json", name)
	lines := strings.Split(strings.TrimSpace(e.out), "\n")
	for i, line := range lines {
		var l listedEntry
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Position != uint64(receipts[i].Position) || l.Size != len(accepted[i].Value) ||
			l.Key != accepted[i].Key && string(l.KeyBase64) != accepted[i].Key || (l.Write == "delete") != accepted[i].Delete {
			t.Errorf("%s: %v", line, err)
		}
	}
	if len(lines) != 4 {
		t.Errorf("%d lines", len(lines))
	}
	expect(1, "", "4 writes remain in queue products/1 at redis://", "drain", name, "--timeout=300ms")

	taken, err := q.Take(ctx, 4)
	servertest.Require(t, err)
	causes := []string{"it is \x1b poison", "poison", "poison", "poison"}
	servertest.Require(t, q.Bury(ctx, taken, causes))
	servertest.Require(t, q.Done(ctx, taken))
	e = expect(0, `products/1/{1}  it is \x1b poison`, "4 dead", "ls", "--dead", name)
	if strings.Contains(e.out, "\x1b") {
		t.Errorf("%q", e.out)
	}
	expect(0, `"cause":"it is \u001b poison"`, "", "ls", "--dead", "--json", name)
	expect(0, "0 retried", "", "retry", name, "nosuch")
	expect(0, "2 retried", "", "retry", name, "products/1/{1}", `"odd \x1b \"key\""`)
	expect(0, "1 purged", "", "purge", name, "products/1/{2}")
	expect(0, "1 purged", "", "purge", name, "--all")
	expect(0, "", "2 pending", "ls", name)

	// Drain waits for who writes the source.
	go func() {
		for range 2 {
			e, err := q.Take(ctx, 1)
			if err == nil {
				err = q.Done(ctx, e)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	expect(0, "0 dead letters", "", "drain", name)
}

func TestAJournalInAFileIsLookedAtWhileNobodyHasIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := filejournal.Open(path, nil)
	servertest.Require(t, err)
	q, err := j.Open("products/1", (&journal.Options{}).WithDefaults())
	servertest.Require(t, err)
	servertest.Require(t, q.Append(t.Context(), time.Minute, []journal.Write{{Key: "k", Value: []byte("value"), ID: journal.NewID()}})[0].Err)
	expect := func(code int, out, err string, args ...string) {
		t.Helper()
		e := strata(t, "", "", nil, append([]string{"journal"}, append(args, "--name=products/1", "--journal="+path)...)...)
		if e.code != code || !strings.Contains(e.out, out) || !strings.Contains(e.err, err) {
			t.Errorf("strata journal %q: %+v; want exit code %d, %q, and %q on standard error", args, e, code, out, err)
		}
	}
	expect(1, "", filejournal.ErrLocked.Error(), "ls")
	servertest.Require(t, j.Close())
	expect(0, "set     k\n", "1 pending", "ls")
	expect(1, "", "1 writes remain in queue products/1 at "+path, "drain")
	expect(0, "0 retried", "", "retry", "--all")
}
