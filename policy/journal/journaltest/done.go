package journaltest

import (
	"slices"

	"github.com/strata-cache/strata/policy/journal"
)

var doneRules = []rule{
	{"leaves", "let what is done leave the queue", doneLeaves},
	{"newer write", "list a key again, once, when a newer write came before Done", doneNewer},
	{"twice", "not take Done of one write for that of a later one", doneTwice},
	{"late", "change nothing by a Done, Bury, Return or Keep of what the caller does not have any more", doneLate},
	{"older letter", "drop with Done the dead letter of an older write of the key, which Retry would put over it", doneOlderLetter},
	{"foreign", "change nothing by a Done, Bury, Return or Keep of what it never gave", doneForeign},
}

var returnRules = []rule{
	{"at once", "give again at once what was returned, before what has waited less", returnAtOnce},
	{"newest", "give with a key that was returned its newest write", returnNewest},
	{"counts", "count how often a write was taken, also when a newer one takes its place, and anew after Done", attempts},
}

func doneLeaves(e *env) {
	q := e.queue()
	writes := numbered(5)
	e.append(q, writes...)
	t := e.take(q, 5)
	e.done(q, t[1], t[3])
	for i, w := range writes {
		if left := e.pending(q, w.Key).Position == 0; left != (i == 1 || i == 3) {
			e.Errorf("%q has left: %t", w.Key, left)
		}
	}
	if s := e.stats(q); s.Depth != 3 || s.Taken != 3 {
		e.Errorf("%+v", s)
	}
	e.done(q, t[0], t[2], t[4])
	e.takesNothing(q, "after Done")
	if s := e.stats(q); s.Depth != 0 || s.Taken != 0 || !s.Oldest.IsZero() || len(e.list(q)) != 0 {
		e.Errorf("%+v", s)
	}
}

func doneNewer(e *env) {
	q := e.queue()
	first := set("k", "1")
	t := e.takes(q, first, e.append(q, first)[0])
	e.append(q, set("k", "2"))
	newest := del("k")
	at := e.append(q, newest)[0]
	e.done(q, t)
	e.wantPending(q, newest, at)
	all := e.takeAll(q)
	if len(all) != 1 {
		e.Fatalf("listed %d times", len(all))
	}
	e.same("Take", all[0], newest, at)
	if m := all[0].Merged; m < 1 || m > 2 {
		e.Errorf("%s, and one write was merged since the source had the key", show(all[0]))
	}
	if all[0].Attempts != 1 {
		e.Errorf("%s, and it was not taken before", show(all[0]))
	}
	e.done(q, all[0])
	e.takesNothing(q, "after Done")
	e.wantNone(q, "k")
}

func doneTwice(e *env) {
	q := e.queue()
	first := set("k", "1")
	t := e.takes(q, first, e.append(q, first)[0])
	e.done(q, t)
	second := set("k", "2")
	at := e.append(q, second)[0]
	e.done(q, t)
	e.wantPending(q, second, at)
	u := e.takes(q, second, at)
	e.done(q, t)
	e.wantPending(q, second, at)
	e.takesNothing(q, "after a Done that came again")
	e.done(q, u)
	e.wantNone(q, "k")
}

// late calls everything with an entry that the caller does not have.
func (e *env) late(q journal.Queue, t journal.Entry) {
	e.Helper()
	e.must(q.Keep(e.patient(), []journal.Entry{t}))
	e.must(q.Return(e.patient(), []journal.Entry{t}))
	e.bury(q, t, "late")
	e.done(q, t)
}

func doneLate(e *env) {
	q := e.queue()
	w := set("k", "v")
	at := e.append(q, w)[0]
	old := e.takes(q, w, at)
	e.must(q.Return(e.patient(), []journal.Entry{old}))
	e.late(q, old)
	if all := e.takeAll(q); len(all) != 1 || all[0].Position != at { // nobody had it
		e.Fatalf("after a late Done of what was returned Take gives %v", all)
	} else {
		e.must(q.Return(e.patient(), all))
	}
	t := e.takes(q, w, at)
	e.late(q, old)
	e.takesNothing(q, "after calls of one who has it no more")
	e.wantPending(q, w, at)
	if s := e.stats(q); s.Depth != 1 || s.Taken != 1 || s.Dead != 0 {
		e.Errorf("%+v", s)
	}
	e.done(q, t)
	e.wantNone(q, "k")
}

func doneOlderLetter(e *env) {
	q := e.queue()
	old, other := set("k", "old"), set("other", "v")
	e.append(q, old, other)
	t := e.take(q, 2)
	e.must(q.Bury(e.patient(), t, []string{"cause", "cause"}))
	e.done(q, t...)
	if s := e.stats(q); s.Dead != 2 {
		e.Fatalf("Done of what was buried dropped the letter: %+v", s)
	}
	newer := set("k", "newer")
	u := e.takes(q, newer, e.append(q, newer)[0])
	if letters := e.dead(q); len(letters) != 2 {
		e.Errorf("%d dead letters before Done, want 2", len(letters))
	}
	e.done(q, u)
	if letters := e.dead(q); len(letters) != 1 || letters[0].Key != "other" {
		e.Errorf("dead letters after Done: %v", letters)
	}
	if n, err := q.Retry(e.patient()); n != 1 || err != nil {
		e.Errorf("Retry: %d, %v", n, err)
	}
	e.wantNone(q, "k")
}

func doneForeign(e *env) {
	q := e.queue()
	w := set("k", "v")
	at := e.append(q, w)[0]
	shown, unknown := e.pending(q, "k"), journal.Entry{Write: set("unknown", "v"), Position: at, Ticket: "x"}
	for _, t := range []journal.Entry{shown, unknown} {
		e.late(q, t)
	}
	e.wantPending(q, w, at)
	e.wantNone(q, "unknown")
	t := e.takes(q, w, at)
	e.late(q, shown)
	e.wantPending(q, w, at)
	e.takesNothing(q, "after calls without a ticket")
	e.done(q, t)
	if s := e.stats(q); s.Depth != 0 || s.Dead != 0 {
		e.Errorf("%+v", s)
	}
}

func returnAtOnce(e *env) {
	q := e.queue()
	writes := numbered(6)
	at := e.append(q, writes...)
	t := e.take(q, 3)
	e.must(q.Return(e.patient(), []journal.Entry{t[1], t[0]}))
	if s := e.stats(q); s.Depth != 6 || s.Taken != 1 {
		e.Errorf("%+v", s)
	}
	again := e.take(q, 2)
	for _, t := range again {
		if i := slices.IndexFunc(writes[:2], func(w journal.Write) bool { return w.Key == t.Key }); i < 0 {
			e.Errorf("Take: %s, before what was returned", show(t))
		} else {
			e.same("Take", t, writes[i], at[i])
		}
	}
	e.done(q, append(again, t[2])...)
	for i := range 3 {
		e.takes(q, writes[3+i], at[3+i])
	}
}

func returnNewest(e *env) {
	q := e.queue()
	first := set("k", "1")
	t := e.takes(q, first, e.append(q, first)[0])
	newest := set("k", "2")
	at := e.append(q, newest)[0]
	e.must(q.Return(e.patient(), []journal.Entry{t}))
	u := e.takes(q, newest, at)
	if u.Merged != 1 {
		e.Errorf("%s, want merged 1: the source has had neither", show(u))
	}
	e.done(q, u)
	e.takesNothing(q, "after Done")
}

func attempts(e *env) {
	j := e.journal()
	q := e.open(j, name, nil)
	e.append(q, set("k", "1"))
	t := e.take(q, 1)[0]
	if t.Attempts != 1 {
		e.Errorf("%s, want 1 attempt", show(t))
	}
	e.must(q.Return(e.patient(), []journal.Entry{t}))
	t = e.take(q, 1)[0]
	if t.Attempts < 1 || t.Attempts > 2 { // whether one that was given back counts is the journal's affair
		e.Errorf("%s, want 1 or 2 attempts", show(t))
	}
	e.done(q, t)
	e.append(q, set("k", "2"))
	if t = e.take(q, 1)[0]; t.Attempts != 1 {
		e.Errorf("%s, want 1 attempt after Done", show(t))
	}
}
