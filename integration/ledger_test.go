package integration_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
)

// A ledger knows what was written at each key, and judges what is read. Each key has one writer, which writes versions 0,
// 1, 2 … one after the other, so that what a read may find is known:
//
//   - a version of that very key, which was sent, and not reported as unsent;
//   - none older than the newest that had been acknowledged before the read began (or, for caches, lag before that);
//   - with one exception: Redis replicates after it has answered, so a failover may lose what was acknowledged just before.
//     A read may find an older version only if the next one was acknowledged within such a window, and only at the keys
//     of the server that failed.
type ledger struct {
	lag time.Duration // how long readers may see what was overwritten

	// mu guards what follows.
	mu       sync.Mutex
	keys     map[string]*account
	losses   []*loss
	failures []failure
	reads    int
	writes   int
	wrong    []string
}

// An account is the versions of one key.
type account struct {
	sent   []time.Time // when each version was sent
	acked  []time.Time // when each was acknowledged; zero: not (yet)
	unsent map[int]bool
}

// A loss is a time within which acknowledged writes may have been lost, at the keys that it says.
type loss struct {
	from, to time.Time
	at       func(key string) bool
}

// A failure is a call that returned an error.
type failure struct {
	at  time.Time
	key string
	err error
}

// replicationLag is how old an acknowledged write may be and still not have reached a replica on a busy machine.
const replicationLag = 2 * time.Second

// clockTime is how times are told: what was wrong is found in the servers' logs, and among the phases of a test, by it.
const clockTime = "15:04:05.000"

func newLedger(lag time.Duration) *ledger {
	return &ledger{lag: lag, keys: map[string]*account{}}
}

// versionText is the value of a version.
func versionText(key string, version int) string { return fmt.Sprintf("%s|%d", key, version) }

// versionOf is the inverse, or what is wrong about the value.
func versionOf(key, value string) (int, error) {
	i := strings.LastIndexByte(value, '|')
	if i < 0 || value[:i] != key {
		return 0, fmt.Errorf("%q is no value of this key", value)
	}
	var v int
	if _, err := fmt.Sscanf(value[i+1:], "%d", &v); err != nil {
		return 0, fmt.Errorf("%q has no version", value)
	}
	return v, nil
}

func (l *ledger) account(key string) *account {
	a := l.keys[key]
	if a == nil {
		a = &account{unsent: map[int]bool{}}
		l.keys[key] = a
	}
	return a
}

// send opens the next version of a key, which is about to be written.
func (l *ledger) send(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(key)
	a.sent = append(a.sent, time.Now())
	a.acked = append(a.acked, time.Time{})
	return len(a.sent) - 1
}

func (l *ledger) ack(key string, version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account(key).acked[version] = time.Now()
	l.writes++
}

// unsent notes that a version was reported never to happen.
func (l *ledger) unsent(key string, version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account(key).unsent[version] = true
}

// fail notes an error. One that does not say that the server could not be reached is wrong by itself.
func (l *ledger) fail(key string, err error, transient ...error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, failure{time.Now(), key, err})
	for _, t := range append(transient, backend.ErrUnavailable) {
		if errors.Is(err, t) {
			return
		}
	}
	l.wrong = append(l.wrong, fmt.Sprintf("key %q: an error that is not transient: %v", key, err))
}

// lose notes that what is acknowledged from shortly before now may be lost at some keys, until end is called with a time.
func (l *ledger) lose(at func(key string) bool) (end func(time.Time)) {
	now := time.Now()
	x := &loss{now.Add(-replicationLag), now.Add(time.Hour), at}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, x)
	return func(to time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		x.to = to
	}
}

// judge checks what a read that began then found: nothing counts as version −1.
func (l *ledger) judge(key string, value string, found bool, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	a, got := l.account(key), -1
	if found {
		var err error
		if got, err = versionOf(key, value); err != nil {
			l.wrong = append(l.wrong, fmt.Sprintf("key %q: %v", key, err))
			return
		}
		if got >= len(a.sent) || a.unsent[got] {
			l.wrong = append(l.wrong, fmt.Sprintf("key %q: version %d was never sent", key, got))
			return
		}
	}
	for v := got + 1; v < len(a.acked); v++ {
		at := a.acked[v]
		if !at.IsZero() && began.Sub(at) > l.lag && !l.mayBeLost(key, at) {
			l.wrong = append(l.wrong, fmt.Sprintf("key %q: read version %d at %s, %v after version %d had been acknowledged (of %d)",
				key, got, began.Format(clockTime), began.Sub(at), v, len(a.sent)))
			return
		}
	}
}

func (l *ledger) mayBeLost(key string, acked time.Time) bool {
	return slices.ContainsFunc(l.losses, func(x *loss) bool {
		return !acked.Before(x.from) && !acked.After(x.to) && x.at(key)
	})
}

// firstAck is when a key with that property was first acknowledged in a write sent after that time, zero for never.
func (l *ledger) firstAck(after time.Time, at func(key string) bool) (first time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, a := range l.keys {
		if !at(key) {
			continue
		}
		for v, acked := range a.acked {
			if a.sent[v].After(after) && !acked.IsZero() && (first.IsZero() || acked.Before(first)) {
				first = acked
			}
		}
	}
	return first
}

// failed are the errors since then.
func (l *ledger) failed(since time.Time) []failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.failures), func(f failure) bool { return f.at.Before(since) })
}

// progress is how many writes were acknowledged.
func (l *ledger) progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// run lets the load go on for that long, and until it made progress.
func (l *ledger) run(t testing.TB, d time.Duration) {
	t.Helper()
	since, before := time.Now(), l.progress()
	eventually(t, "the load goes on", func() bool { return time.Since(since) >= d && l.progress() > before })
}

// quiet lets the load go on until no call has failed for a second.
func (l *ledger) quiet(t testing.TB) {
	t.Helper()
	eventually(t, "a second without an error", func() bool {
		l.run(t, 100*time.Millisecond)
		return len(l.failed(time.Now().Add(-time.Second))) == 0
	})
}

// report fails the test for what was wrong, and logs what was done.
func (l *ledger) report(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d reads, %d acknowledged writes, %d errors", l.reads, l.writes, len(l.failures))
	for i, w := range l.wrong {
		if i == 10 {
			t.Errorf("… and %d more", len(l.wrong)-i)
			break
		}
		t.Error(w)
	}
}

func TestALedgerKnowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	anywhere := func(string) bool { return true }
	for name, c := range map[string]struct {
		do    func(l *ledger)
		wrong string
	}{
		"the newest":           {func(l *ledger) { l.judge("k", "k|2", true, time.Now()) }, ""},
		"another key's":        {func(l *ledger) { l.judge("k", "j|2", true, time.Now()) }, "no value of this key"},
		"no version":           {func(l *ledger) { l.judge("k", "k|x", true, time.Now()) }, "no version"},
		"never sent":           {func(l *ledger) { l.judge("k", "k|7", true, time.Now()) }, "never sent"},
		"reported as unsent":   {func(l *ledger) { l.unsent("k", l.send("k")); l.judge("k", "k|3", true, time.Now()) }, "never sent"},
		"under way":            {func(l *ledger) { l.send("k"); l.judge("k", "k|3", true, time.Now()) }, ""},
		"older":                {func(l *ledger) { l.judge("k", "k|1", true, time.Now()) }, "read version 1"},
		"nothing":              {func(l *ledger) { l.judge("k", "", false, time.Now()) }, "read version -1"},
		"older, began before":  {func(l *ledger) { l.judge("k", "k|1", true, time.Now().Add(-time.Minute)) }, ""},
		"older within the lag": {func(l *ledger) { l.lag = time.Minute; l.judge("k", "k|1", true, time.Now()) }, ""},
		"lost":                 {func(l *ledger) { l.lose(anywhere)(time.Now()); l.judge("k", "", false, time.Now()) }, ""},
		"lost, and written anew": {func(l *ledger) {
			l.lose(anywhere)(time.Now())
			l.ack("k", l.send("k"))
			l.judge("k", "k|2", true, time.Now())
		}, "read version 2"},
		"lost elsewhere": {func(l *ledger) {
			l.lose(func(string) bool { return false })
			l.judge("k", "", false, time.Now())
		}, "read version -1"},
		"lost before": {func(l *ledger) {
			l.lose(anywhere)(time.Now().Add(-time.Second))
			l.judge("k", "", false, time.Now())
		}, "read version -1"},
		"unavailable":   {func(l *ledger) { l.fail("k", fmt.Errorf("x: %w", backend.ErrUnavailable)) }, ""},
		"another error": {func(l *ledger) { l.fail("k", errors.New("x")) }, "not transient"},
	} {
		l := newLedger(0)
		for range 3 {
			l.ack("k", l.send("k"))
		}
		c.do(l)
		if got := strings.Join(l.wrong, "; "); (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q, want %q", name, got, c.wrong)
		}
	}
}
