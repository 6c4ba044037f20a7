package journaltest

import (
	"context"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// takeOverRules are for shared journals. Nobody takes over from who is silent on another, whose takers are all in one process.
var takeOverRules = []rule{
	{"silence", "give to others what somebody has who was silent for Options.TakeOver, with one attempt more", overSilence},
	{"late", "change nothing by a Done, Bury, Return or Keep of what was taken over", overLate},
	{"keep", "give nothing to others that is kept", overKeep},
	{"newer write", "give with a key that is taken over its newest write", overNewer},
	{"buried", "give a key again whose burier has died before Done, and what was written to it since", overBuried},
	{"closed", "give at once to others what somebody had who closes its queue", overClosed},
}

// nodes opens the queue on two nodes.
func (e *env) nodes() (a, b journal.Queue) {
	e.Helper()
	if !e.h.Shared {
		e.Skip("this journal is not shared")
	}
	return e.open(e.journal(), name, e.soon), e.open(e.journal(), name, e.soon)
}

func overSilence(e *env) {
	a, b := e.nodes()
	writes := numbered(3)
	at := e.append(a, writes...)
	began := time.Now()
	e.take(a, 3)
	for i, t := range e.take(b, 3) {
		e.same("Take", t, writes[i], at[i])
		if t.Attempts != 2 {
			e.Errorf("%s, want 2 attempts", show(t))
		}
	}
	if took := time.Since(began); took < e.h.TakeOver*9/10 {
		e.Errorf("taken over after %v, want %v", took, e.h.TakeOver)
	}
}

func overLate(e *env) {
	a, b := e.nodes()
	w := set("k", "v")
	at := e.append(a, w)[0]
	old := e.takes(a, w, at)
	t := e.takes(b, w, at)
	e.late(a, old)
	e.must(b.Keep(e.patient(), []journal.Entry{t}))
	e.takesNothing(a, "after calls of one from whom it was taken over")
	e.wantPending(a, w, at)
	if s := e.stats(a); s.Depth != 1 || s.Dead != 0 {
		e.Errorf("%+v", s)
	}
	newer := set("k", "newer")
	at = e.append(a, newer)[0]
	e.done(a, old)
	e.wantPending(b, newer, at)
	e.done(b, t)
	e.takes(a, newer, at)
}

func overKeep(e *env) {
	a, b := e.nodes()
	for range 5 {
		e.append(a, set("kept", "v"), set("silent", "v"))
		t := e.take(a, 2)
		other := e.taking(b)
		last, longest := time.Now(), time.Duration(0)
		ticks := time.NewTicker(e.h.TakeOver / 20)
		var over journal.Entry
		for over.Ticket == "" && !e.Failed() {
			select {
			case over = <-other:
			case <-ticks.C:
				e.must(a.Keep(e.patient(), t[:1]))
				longest = max(longest, time.Since(last))
				last = time.Now()
			}
		}
		ticks.Stop()
		if over.Key == "silent" {
			e.done(a, t[0])
			e.done(b, over)
			return
		}
		if longest < e.h.TakeOver/2 {
			e.Fatalf("%s was taken over, and was kept all the time", show(over))
		}
		e.done(b, append(e.take(b, 1), over)...) // the machine was so busy that it was not kept
	}
	e.Skip("this machine is too busy to keep anything")
}

func overNewer(e *env) {
	a, b := e.nodes()
	first := set("k", "1")
	e.takes(a, first, e.append(a, first)[0])
	newest := set("k", "2")
	at := e.append(a, newest)[0]
	t := e.takes(b, newest, at)
	if t.Attempts != 2 || t.Merged != 1 {
		e.Errorf("%s, want 2 attempts and 1 merged", show(t))
	}
	e.done(b, t)
	e.wantNone(a, "k")
	e.takesNothing(a, "after Done")
}

func overBuried(e *env) {
	a, b := e.nodes()
	e.append(a, set("buried", "v"), set("buried and written", "v"), set("silent", "v"))
	for _, t := range e.take(a, 3)[:2] {
		e.bury(a, t, "cause")
	}
	newer := set("buried and written", "newer")
	at := e.append(a, newer)[0]
	want := map[string]journal.Position{"silent": 0, newer.Key: at}
	for ctx := e.patient(); len(want) > 0; {
		entries, err := b.Take(ctx, 1)
		if err != nil {
			e.Fatalf("Take: %v, and %v is still to come", err, want)
		}
		t := entries[0]
		switch at := want[t.Key]; {
		case t.Key == "buried" && t.Position == 0: // or the journal forgets it
		case t.Key == newer.Key:
			e.same("Take", t, newer, at)
		case t.Key != "silent":
			e.Fatalf("Take: %s", show(t))
		}
		delete(want, t.Key)
		e.done(b, t)
	}
	e.wantNone(b, newer.Key)
	again := set("buried", "again")
	at = e.append(b, again)[0]
	for {
		t := e.take(b, 1)[0]
		if t.Position == 0 {
			e.done(b, t)
			continue
		}
		e.same("Take", t, again, at)
		e.done(b, t)
		break
	}
	e.wantNone(b, "buried")
	if s := e.stats(b); s.Depth != 0 {
		e.Errorf("%+v", s)
	}
}

func overClosed(e *env) {
	if !e.h.Shared {
		e.Skip("this journal is not shared")
	}
	a, b := e.queue(), e.queue() // nobody is silent for so long that it would be taken over
	w := set("k", "v")
	at := e.append(a, w)[0]
	e.takes(a, w, at)
	taken := e.taking(b)
	e.must(a.Close())
	e.same("Take", <-taken, w, at)
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	e.wantRefused(a.Append(ctx, within, numbered(1)), 1, journal.ErrClosed)
}
