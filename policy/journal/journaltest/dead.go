package journaltest

import (
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

var deadRules = []rule{
	{"bury", "keep what was buried as a dead letter with its cause, and no more as pending", bury},
	{"stays", "leave a key that was buried with the caller until Done", buryStays},
	{"newer write", "bury nothing where a newer write came meanwhile, and list that with Done", buryNewer},
	{"replaces", "put a dead letter in place of the one that the key had", buryReplaces},
	{"retry", "make dead letters pending again, in their order and with their positions", retry},
	{"retry newer", "drop the letter with Retry where a newer write is pending", retryNewer},
	{"retry before done", "not lose what was retried before who buried it has said Done", retryBeforeDone},
	{"purge", "drop dead letters with Purge, those of the keys it is given or all", purge},
}

// buried appends writes and buries them.
func (e *env) buried(q journal.Queue, writes ...journal.Write) (at []journal.Position) {
	e.Helper()
	at = e.append(q, writes...)
	for _, t := range e.take(q, len(writes)) {
		e.bury(q, t, "cause of "+t.Key)
		e.done(q, t)
	}
	return at
}

func bury(e *env) {
	q := e.queue()
	before := time.Now()
	writes := numbered(2)
	at := e.append(q, writes...)
	t := e.take(q, 2)
	e.bury(q, t[1], "it is poison")
	e.wantNone(q, writes[1].Key)
	e.wantPending(q, writes[0], at[0])
	if s := e.stats(q); s.Depth != 1 || s.Taken != 1 || s.Dead != 1 {
		e.Errorf("%+v", s)
	}
	e.done(q, t[1])
	letters := e.dead(q)
	if len(letters) != 1 || letters[0].Cause != "it is poison" || letters[0].Attempts != 1 {
		e.Fatalf("dead letters: %+v", letters)
	}
	e.same("Dead", letters[0].Entry, writes[1], at[1])
	if d := letters[0].Buried.Sub(before); d < -time.Minute || d > time.Minute {
		e.Errorf("buried %v, and it is %v", letters[0].Buried, before)
	}
	e.done(q, t[0])
	e.takesNothing(q, "after Bury and Done")
	n := 0
	e.buried(q, set("another", "v"))
	e.must(q.Dead(e.patient(), func(journal.DeadLetter) bool { n++; return false }))
	if n != 1 {
		e.Errorf("Dead went on after false: %d calls", n)
	}
}

func buryStays(e *env) {
	q := e.queue()
	w := set("k", "v")
	t := e.takes(q, w, e.append(q, w)[0])
	e.bury(q, t, "cause")
	newer := set("k", "newer")
	at := e.append(q, newer)[0]
	e.wantPending(q, newer, at)
	e.takesNothing(q, "before the Done of who has buried")
	e.done(q, t)
	e.wantPending(q, newer, at)
	e.takes(q, newer, at)
}

func buryNewer(e *env) {
	q := e.queue()
	w := set("k", "v")
	t := e.takes(q, w, e.append(q, w)[0])
	newer := set("k", "newer")
	at := e.append(q, newer)[0]
	e.bury(q, t, "cause")
	if letters := e.dead(q); len(letters) != 0 {
		e.Errorf("dead letters: %+v", letters)
	}
	e.wantPending(q, newer, at)
	e.done(q, t)
	u := e.takes(q, newer, at)
	e.done(q, u)
	e.wantNone(q, "k")
}

func buryReplaces(e *env) {
	q := e.queue()
	e.buried(q, set("k", "1"))
	second := set("k", "2")
	at := e.buried(q, second)[0]
	letters := e.dead(q)
	if len(letters) != 1 {
		e.Fatalf("%d dead letters", len(letters))
	}
	e.same("Dead", letters[0].Entry, second, at)
}

func retry(e *env) {
	q := e.queue()
	writes := numbered(5)
	at := e.buried(q, writes...)
	for _, keys := range [][]string{{writes[2].Key, "unknown"}, nil} {
		want := 1
		if keys == nil {
			want = 4
		}
		if n, err := q.Retry(e.patient(), keys...); n != want || err != nil {
			e.Fatalf("Retry of %q: %d, %v, want %d", keys, n, err, want)
		}
	}
	if s := e.stats(q); s.Dead != 0 || s.Depth != 5 {
		e.Errorf("%+v", s)
	}
	for _, i := range []int{2, 0, 1, 3, 4} {
		e.wantPending(q, writes[i], at[i])
		e.done(q, e.takes(q, writes[i], at[i]))
	}
	e.takesNothing(q, "after Done")
}

func retryNewer(e *env) {
	q := e.queue()
	e.buried(q, set("k", "1"))
	newer := set("k", "2")
	at := e.append(q, newer)[0]
	if _, err := q.Retry(e.patient(), "k"); err != nil {
		e.Fatal(err)
	}
	if s := e.stats(q); s.Dead != 0 || s.Depth != 1 {
		e.Errorf("%+v", s)
	}
	e.wantPending(q, newer, at)
	e.done(q, e.takes(q, newer, at))
	e.takesNothing(q, "after Done")
}

func retryBeforeDone(e *env) {
	q := e.queue()
	w := set("k", "v")
	at := e.append(q, w)[0]
	t := e.takes(q, w, at)
	e.bury(q, t, "cause")
	if n, err := q.Retry(e.patient(), "k"); n != 1 || err != nil {
		e.Fatalf("Retry: %d, %v", n, err)
	}
	e.wantPending(q, w, at)
	e.done(q, t)
	e.wantPending(q, w, at)
	e.done(q, e.takes(q, w, at))
	e.wantNone(q, "k")
}

func purge(e *env) {
	q := e.queue()
	writes := numbered(5)
	e.buried(q, writes...)
	pending := set(writes[1].Key, "pending")
	at := e.append(q, pending)[0]
	if n, err := q.Purge(e.patient(), writes[1].Key, writes[3].Key, "unknown"); n != 2 || err != nil {
		e.Fatalf("Purge of two: %d, %v", n, err)
	}
	if letters := e.dead(q); len(letters) != 3 || letters[1].Key != writes[2].Key {
		e.Errorf("dead letters: %+v", letters)
	}
	if n, err := q.Purge(e.patient()); n != 3 || err != nil {
		e.Fatalf("Purge of all: %d, %v", n, err)
	}
	if n, err := q.Retry(e.patient()); n != 0 || err != nil {
		e.Errorf("Retry after Purge: %d, %v", n, err)
	}
	e.wantPending(q, pending, at)
	if s := e.stats(q); s.Dead != 0 || s.Depth != 1 {
		e.Errorf("%+v", s)
	}
}
