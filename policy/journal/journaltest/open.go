package journaltest

import (
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

var listRules = []rule{
	{"pending", "list what is pending, oldest first, until it is told to stop", listPending},
	{"calls", "let List and Dead be asked for more while they list", listCalls},
	{"stats", "count what is pending, taken, dead and merged, and know since when the oldest waits", stats},
}

var openRules = []rule{
	{"shared", "say of itself whether it is shared as its harness does", shared},
	{"names", "keep queues of different names apart", names},
	{"one of a name", "open one queue of a name at a time", oneOfAName},
	{"again", "find what was pending, and what is dead, when it is opened again, and have nobody have it", openAgain},
	{"position grows", "go on with greater positions when it is opened again, also with nothing pending", positionGrows},
	{"clock set back", "go on with greater positions when the clock is set back", clockSetBack},
	{"nodes", "show on each node what another has accepted and done", nodes},
}

func listPending(e *env) {
	q := e.queue()
	writes := numbered(20)
	at := e.append(q, writes...)
	e.take(q, 1)
	listed := e.list(q)
	if len(listed) != len(writes) {
		e.Fatalf("%d of %d", len(listed), len(writes))
	}
	for i, t := range listed {
		e.same("List", t, writes[i], at[i])
	}
	n := 0
	e.must(q.List(e.patient(), func(journal.Entry) bool { n++; return n < 3 }))
	if n != 3 {
		e.Errorf("List went on after false: %d calls", n)
	}
}

func listCalls(e *env) {
	q := e.queue()
	e.buried(q, set("dead", "v"))
	e.append(q, numbered(3)...)
	e.must(q.List(e.patient(), func(t journal.Entry) bool {
		e.append(q, set(t.Key, "newer"))
		e.stats(q)
		return true
	}))
	e.must(q.Dead(e.patient(), func(d journal.DeadLetter) bool {
		_, err := q.Purge(e.patient(), d.Key)
		return err == nil
	}))
	if s := e.stats(q); s.Dead != 0 || s.Depth != 3 || s.Merged != 3 {
		e.Errorf("%+v", s)
	}
}

func stats(e *env) {
	q := e.queue()
	if s := e.stats(q); s != (journal.Stats{}) {
		e.Errorf("of a new queue: %+v", s)
	}
	e.buried(q, set("dead", "v"))
	e.append(q, numbered(4)...)
	oldest := e.pending(q, numbered(1)[0].Key).Accepted
	e.append(q, set(numbered(2)[1].Key, "newer"))
	t := e.take(q, 3)
	s := e.stats(q)
	if s.Depth != 4 || s.Taken != 3 || s.Dead != 1 || s.Merged != 1 || s.Oldest.Sub(oldest).Abs() > time.Millisecond {
		e.Errorf("%+v, the oldest since %v", s, oldest)
	}
	e.done(q, t...)
	if s := e.stats(q); s.Depth != 1 || s.Taken != 0 || s.Oldest.Before(oldest) {
		e.Errorf("%+v", s)
	}
}

func shared(e *env) {
	j := e.journal()
	if j.Shared() != e.h.Shared {
		e.Errorf("Shared: %t, and the harness says %t", j.Shared(), e.h.Shared)
	}
	if j.String() == "" {
		e.Error("it has no name")
	}
}

func names(e *env) {
	j := e.journal()
	var queues []journal.Queue
	all := []string{"a", "A", "a/b", "a b", "", "..", "ä", "\x00", "{a}", "a:b", "a*"}
	for _, n := range all {
		queues = append(queues, e.open(j, n, nil))
	}
	for i, q := range queues {
		w := set("k", all[i])
		e.wantNone(q, "k")
		at := e.append(q, w)[0]
		e.wantPending(q, w, at)
	}
	for i, q := range queues {
		t := e.take(q, 1)[0]
		if string(t.Value) != all[i] {
			e.Errorf("queue %q gave %s", all[i], show(t))
		}
		if i%2 == 0 {
			e.bury(q, t, "cause")
			e.done(q, t)
		}
	}
	for i, q := range queues {
		if s := e.stats(q); s.Dead != (i+1)%2 || s.Depth != i%2 {
			e.Errorf("queue %q: %+v", all[i], s)
		}
	}
}

func oneOfAName(e *env) {
	j := e.journal()
	q := e.open(j, name, nil)
	if _, err := j.Open(name, e.options(nil)); err == nil {
		e.Fatal("a second queue of the name was opened")
	}
	w := set("k", "v")
	at := e.append(q, w)[0]
	e.must(q.Close())
	q = e.open(j, name, nil)
	e.wantPending(q, w, at)
}

func openAgain(e *env) {
	j := e.journal()
	q := e.open(j, name, nil)
	dead := set("dead", "v")
	buried := e.buried(q, dead)[0]
	writes := append(numbered(10), del("deleted"))
	at := e.append(q, writes...)
	e.done(q, e.take(q, 2)...)
	newer := set(writes[5].Key, "newer")
	at[5], writes[5] = e.append(q, newer)[0], newer
	e.take(q, 4)
	for range 2 {
		j, q = e.reopen(j, q)
		if s := e.stats(q); s.Depth != 9 || s.Taken != 0 || s.Dead != 1 || s.Merged != 1 {
			e.Errorf("opened again: %+v", s)
		}
		for i, w := range writes {
			if i < 2 {
				e.wantNone(q, w.Key)
				continue
			}
			e.wantPending(q, w, at[i])
		}
		letters := e.dead(q)
		if len(letters) != 1 || letters[0].Cause != "cause of dead" {
			e.Fatalf("dead letters: %+v", letters)
		}
		e.same("Dead", letters[0].Entry, dead, buried)
	}
	taken := e.take(q, 9)
	for _, t := range taken {
		i := slices.IndexFunc(writes, func(w journal.Write) bool { return w.Key == t.Key })
		e.same("Take", t, writes[i], at[i])
	}
	e.done(q, taken...)
	_, q = e.reopen(j, q)
	e.takesNothing(q, "after Done, opened again,")
}

func positionGrows(e *env) {
	j := e.journal()
	q := e.open(j, name, nil)
	var last journal.Position
	for range 3 {
		e.append(q, numbered(100)...)
		at := e.append(q, set("k", "v"))[0]
		if at <= last {
			e.Fatalf("position %d after %d", at, last)
		}
		last = at
		e.done(q, e.take(q, 101)...)
		j, q = e.reopen(j, q)
	}
}

func clockSetBack(e *env) {
	if e.h.Earlier == nil {
		e.Skip("the clock of this journal cannot be set back")
	}
	j := e.journal()
	q := e.open(j, name, nil)
	at := e.append(q, numbered(10)...)[9]
	e.done(q, e.take(q, 10)...)
	e.must(j.Close())
	e.h.Earlier(e.T, func(t *testing.T) {
		e := &env{T: t, h: e.h, settle: e.settle, names: e.names}
		q := e.queue()
		for _, next := range e.append(q, numbered(10)...) {
			if next <= at {
				e.Fatalf("position %d after %d", next, at)
			}
			at = next
		}
	})
}

func nodes(e *env) {
	if !e.h.Shared {
		e.Skip("this journal is not shared")
	}
	a, b := e.queue(), e.queue()
	w := set("k", "a")
	at := e.append(a, w)[0]
	e.wantPending(b, w, at)
	newer := set("k", "b")
	next := e.append(b, newer)[0]
	if next <= at {
		e.Errorf("position %d after %d of another node", next, at)
	}
	e.wantPending(a, newer, next)
	t := e.takes(a, newer, next)
	e.takesNothing(b, "while another node has the key")
	e.done(a, t)
	e.wantNone(b, "k")
	e.buried(a, set("dead", "v"))
	if n, err := b.Retry(e.patient()); n != 1 || err != nil {
		e.Errorf("Retry on another node: %d, %v", n, err)
	}
	if t := e.take(b, 1)[0]; t.Key != "dead" {
		e.Errorf("Take: %s", show(t))
	}
}
