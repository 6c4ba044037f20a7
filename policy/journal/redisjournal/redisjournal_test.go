package redisjournal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

func TestMain(m *testing.M) {
	consumeIfAsked()
	servertest.MainWaiting(m)
}

const patience = 60 * time.Second

// persistent starts a server that a journal takes as it is.
func persistent(t *testing.T) *server.Server {
	t.Helper()
	return servertest.Redis(t, &server.RedisOptions{Persist: true})
}

func openJournal(t *testing.T, url string, o *redisjournal.Options) *redisjournal.Journal {
	t.Helper()
	if !strings.Contains(url, "?") {
		url += "?timeout=10s" // a busy machine's
	}
	j, err := redisjournal.Open(t.Context(), url, o)
	servertest.Require(t, err)
	t.Cleanup(func() { j.Close() }) // of servers that are down by then
	return j
}

func openQueue(t *testing.T, j *redisjournal.Journal, o journal.Options) journal.Queue {
	t.Helper()
	q, err := j.Open("queue", o.WithDefaults())
	servertest.Require(t, err)
	return q
}

func set(key, value string) journal.Write {
	return journal.Write{Key: key, Source: []byte(key), Value: []byte(value), ID: journal.NewID()}
}

func sets(from, n int) (writes []journal.Write) {
	for i := range n {
		writes = append(writes, set(fmt.Sprintf("key %d", from+i), "value"))
	}
	return writes
}

func accept(t testing.TB, q journal.Queue, writes ...journal.Write) (last journal.Position) {
	t.Helper()
	for i, r := range q.Append(t.Context(), patience, writes) {
		if r.Err != nil {
			t.Fatalf("append %q: %v", writes[i].Key, r.Err)
		}
		last = r.Position
	}
	return last
}

// take takes n entries.
func take(t testing.TB, q journal.Queue, n int) (entries []journal.Entry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(entries) < n {
		more, err := q.Take(ctx, n-len(entries))
		if err != nil {
			t.Fatalf("after %d of %d entries: %v", len(entries), n, err)
		}
		entries = append(entries, more...)
	}
	return entries
}

func pendingAt(t testing.TB, q journal.Queue, key string) journal.Position {
	t.Helper()
	e, err := q.Pending(t.Context(), []string{key})
	if err != nil {
		t.Fatal(err)
	}
	return e[0].Position
}

// ask runs something on the server with a client of its own.
func ask(t testing.TB, s *server.Server, do func(ctx context.Context, c *redisconn.Conn) error) {
	t.Helper()
	conn, err := redisconn.Open(s.URL()+"?timeout=10s", nil)
	servertest.Require(t, err)
	defer conn.Close()
	servertest.Require(t, conn.Call(context.Background(), func(ctx context.Context) error { return do(ctx, conn) }))
}

// command sends one.
func command(t testing.TB, s *server.Server, words ...any) (answer any) {
	t.Helper()
	ask(t, s, func(ctx context.Context, c *redisconn.Conn) (err error) {
		answer, err = c.Client().Do(ctx, words...).Result()
		return err
	})
	return answer
}

// until polls a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestAWriteThatIsLateIsNeverAcceptedAlthoughItsCommandArrives(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	q := openQueue(t, openJournal(t, s.URL()+"?timeout=100ms", nil), journal.Options{})
	until(t, "an answer", func() bool { return q.Append(t.Context(), patience, sets(0, 1))[0].Err == nil })
	servertest.Require(t, s.Pause())
	const within = 300 * time.Millisecond
	began := time.Now()
	r := q.Append(t.Context(), within, []journal.Write{set("late", "v")})[0]
	if !errors.Is(r.Err, journal.ErrUnavailable) || errors.Is(r.Err, journal.ErrNotWritten) {
		t.Errorf("append at a stopped server: %v, want ErrUnavailable of an unknown outcome", r.Err)
	}
	timer := time.NewTimer(2*within - time.Since(began)) // it is the passing of time that is tested
	<-timer.C
	servertest.Require(t, s.Resume())
	// The command is in the server's buffer, before this one's.
	until(t, "the server", func() bool { return q.Append(t.Context(), patience, []journal.Write{set("timely", "v")})[0].Err == nil })
	info := fmt.Sprint(command(t, s, "info", "commandstats"))
	if _, calls, _ := strings.Cut(info, "cmdstat_evalsha:calls="); !(calls[:1] >= "3") {
		t.Errorf("the late command did not arrive, so this test proves nothing: %.20s", calls)
	}
	if at := pendingAt(t, q, "late"); at != 0 {
		t.Errorf("the late write is pending at %d", at)
	}
}

func TestAWriteThatWasSurelyNotSentSaysSo(t *testing.T) {
	t.Parallel()
	q := openQueue(t, openJournal(t, "redis://app:hunter2@127.0.0.1:1", nil), journal.Options{})
	for _, r := range q.Append(t.Context(), patience, sets(0, 2)) {
		if !errors.Is(r.Err, journal.ErrUnavailable) || !errors.Is(r.Err, journal.ErrNotWritten) {
			t.Errorf("%v, want ErrUnavailable and ErrNotWritten", r.Err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", r.Err, q), "hunter2") {
			t.Errorf("%v tells the password", r.Err)
		}
	}
	for _, r := range q.Append(t.Context(), 0, sets(0, 2)) {
		if !errors.Is(r.Err, journal.ErrNotWritten) {
			t.Errorf("without time: %v, want ErrNotWritten", r.Err)
		}
	}
}

func TestTakeWaitsWhileTheServerIsDownAndGoesOn(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	q := openQueue(t, openJournal(t, s.URL()+"?timeout=1s", nil), journal.Options{})
	at := accept(t, q, sets(0, 1)...)
	accept(t, q, sets(1, 1)...)
	first := take(t, q, 1)
	if len(first) != 1 || first[0].Position != at {
		t.Fatalf("%+v", first)
	}
	if err := q.Done(t.Context(), take(t, q, 1)); err != nil {
		t.Fatal(err)
	}
	servertest.Require(t, s.Kill())
	type result struct {
		entries []journal.Entry
		err     error
	}
	taken := make(chan result)
	go func() {
		entries, err := q.Take(t.Context(), 1)
		taken <- result{entries, err}
	}()
	if r := q.Append(t.Context(), patience, sets(2, 1))[0]; !errors.Is(r.Err, journal.ErrUnavailable) {
		t.Errorf("append to a dead server: %v", r.Err)
	}
	servertest.Require(t, s.Restart(context.Background()))
	accept(t, q, sets(3, 1)...)
	if r := <-taken; r.err != nil || len(r.entries) != 1 || r.entries[0].Key != "key 3" {
		t.Errorf("%+v", r)
	}
	if pendingAt(t, q, "key 0") != at { // what was accepted survives a kill
		t.Error("an accepted write is gone")
	}
	if err := q.Done(t.Context(), first); err != nil {
		t.Error(err)
	}
	if pendingAt(t, q, "key 0") != 0 {
		t.Error("who has taken a key does not have it after a restart of the server")
	}
}

func TestPositionsGrowAndTheQueueWorksWhenAllDataWereLost(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{})
	before := accept(t, q, sets(0, 10)...)
	lost := take(t, q, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command(t, s, "flushall")
	taken := make(chan []journal.Entry)
	go func() {
		entries, err := q.Take(ctx, 5)
		if err != nil {
			t.Error(err)
		}
		taken <- entries
	}()
	if at := accept(t, q, set("key 1", "after")); at <= before {
		t.Errorf("position %d after %d", at, before)
	}
	if e := <-taken; len(e) != 1 || string(e[0].Value) != "after" {
		t.Errorf("%+v", e)
	}
	if err := q.Done(t.Context(), lost); err != nil {
		t.Error(err)
	}
	if pendingAt(t, q, "key 1") == 0 {
		t.Error("Done of what was lost took what came since")
	}
}

func TestWhatWasLostInPartIsMended(t *testing.T) {
	t.Parallel()
	const tag = "{strata-journal:queue}:"
	for _, lost := range []struct {
		what  string
		words func(s *server.Server, t *testing.T) []any
		want  int // entries with a write
	}{
		{"the list", func(*server.Server, *testing.T) []any { return []any{"del", tag + "list"} }, 3},
		{"the group", func(*server.Server, *testing.T) []any { return []any{"xgroup", "destroy", tag + "list", "workers"} }, 3},
		{"a consumer with what it has", func(s *server.Server, t *testing.T) []any {
			consumers := command(t, s, "xinfo", "consumers", tag+"list", "workers").([]any)
			for _, c := range consumers {
				if name := c.([]any)[1].(string); name != "free" {
					return []any{"xgroup", "delconsumer", tag + "list", "workers", name}
				}
			}
			t.Fatal("no consumer")
			return nil
		}, 3},
		{"the bodies", func(*server.Server, *testing.T) []any { return []any{"del", tag + "bodies"} }, 0},
		{"the heads", func(*server.Server, *testing.T) []any { return []any{"del", tag + "heads"} }, 0},
	} {
		t.Run(lost.what, func(t *testing.T) {
			t.Parallel()
			s := persistent(t)
			// Nobody is silent for so long that it is taken over.
			q := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{TakeOver: time.Hour})
			accept(t, q, sets(0, 3)...)
			had := take(t, q, 2)
			command(t, s, lost.words(s, t)...)
			if strings.HasPrefix(lost.what, "the bod") || strings.HasPrefix(lost.what, "the hea") {
				if err := q.Return(t.Context(), had); err != nil {
					t.Fatal(err)
				}
			}
			other := openQueue(t, openJournal(t, s.URL(), nil), journal.Options{TakeOver: time.Hour})
			whole := map[string]bool{}
			for range 3 {
				for _, e := range take(t, other, 1) {
					if e.Position != 0 {
						whole[e.Key] = true
					}
					if err := other.Done(t.Context(), []journal.Entry{e}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(whole) != lost.want {
				t.Errorf("%d keys came with their write, want %d", len(whole), lost.want)
			}
			if st, err := other.Stats(t.Context()); err != nil || st.Depth != 0 {
				t.Errorf("%+v %v", st, err)
			}
		})
	}
}

func TestWhatWasTakenByACallWithoutAnAnswerComesAgainAtOnce(t *testing.T) {
	t.Parallel()
	s := persistent(t)
	// Nobody is silent for so long that it is taken over.
	q := openQueue(t, openJournal(t, s.URL()+"?timeout=200ms", nil), journal.Options{TakeOver: time.Hour})
	until(t, "an answer", func() bool { return q.Append(t.Context(), patience, sets(0, 3))[0].Err == nil })
	had := take(t, q, 1)
	servertest.Require(t, s.Pause())
	taken := make(chan []journal.Entry)
	go func() { taken <- take(t, q, 1) }()
	timer := time.NewTimer(500 * time.Millisecond) // its command has got no answer by then
	<-timer.C
	servertest.Require(t, s.Resume())
	again := append(<-taken, take(t, q, 1)...)
	for _, e := range again {
		if e.Key == had[0].Key {
			t.Errorf("%q came twice", e.Key)
		}
	}
	until(t, "Done", func() bool { return q.Done(t.Context(), append(again, had...)) == nil })
	if st, err := q.Stats(t.Context()); err != nil || st.Depth != 0 {
		t.Errorf("%+v %v", st, err)
	}
}
