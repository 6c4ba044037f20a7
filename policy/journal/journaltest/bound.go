package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/strata-cache/strata/policy/journal"
)

var boundRules = []rule{
	{"full", "refuse a key that is not pending when so many are as may be, with ErrFull and ErrNotWritten", full},
	{"full for new keys", "accept writes of keys that are pending also when it is full, each by itself", fullForNewKeys},
	{"room", "accept again when a key has left the queue", room},
	{"never beyond", "never hold more keys than it may, whoever writes at a time", neverBeyond},
}

func bound(n int) func(*journal.Options) { return func(o *journal.Options) { o.Bound = n } }

func full(e *env) {
	q := e.open(e.journal(), name, bound(4))
	e.append(q, numbered(4)...)
	e.wantRefused(q.Append(e.patient(), within, []journal.Write{set("one", "v"), set("two", "v")}), 2, journal.ErrFull)
	e.wantNone(q, "one")
	if s := e.stats(q); s.Depth != 4 {
		e.Errorf("%+v", s)
	}
}

func fullForNewKeys(e *env) {
	q := e.open(e.journal(), name, bound(4))
	there := numbered(4)
	e.append(q, there[:3]...)
	newer, deleted := set(there[0].Key, "newer"), del(there[2].Key)
	writes := []journal.Write{set("fourth", "v"), newer, set("fifth", "v"), deleted, set("sixth", "v")}
	receipts := q.Append(e.patient(), within, writes)
	if len(receipts) != len(writes) {
		e.Fatalf("%d receipts for %d writes", len(receipts), len(writes))
	}
	for i, r := range receipts {
		w := writes[i]
		if i == 2 || i == 4 {
			e.wantRefused(receipts[i:i+1], 1, journal.ErrFull)
			e.wantNone(q, w.Key)
			continue
		}
		if r.Err != nil {
			e.Fatalf("Append of %q: %v", w.Key, r.Err)
		}
		e.wantPending(q, w, r.Position)
	}
}

func room(e *env) {
	q := e.open(e.journal(), name, bound(2))
	e.append(q, numbered(2)...)
	t := e.take(q, 2)
	e.wantRefused(q.Append(e.patient(), within, []journal.Write{set("x", "v")}), 1, journal.ErrFull)
	e.done(q, t[0])
	e.append(q, set("x", "v"))
	e.wantRefused(q.Append(e.patient(), within, []journal.Write{set("y", "v")}), 1, journal.ErrFull)
	e.bury(q, t[1], "cause")
	e.done(q, t[1])
	e.append(q, set("y", "v"))
}

func neverBeyond(e *env) {
	const may, writers, each = 20, 16, 8
	q := e.open(e.journal(), name, bound(may))
	var accepted atomic.Int64
	var work sync.WaitGroup
	for i := range writers {
		work.Go(func() {
			for k := range each {
				for _, r := range q.Append(e.Context(), within, []journal.Write{set(fmt.Sprintf("%d of %d", k, i), "v"), set(fmt.Sprintf("%d of %d too", k, i), "v")}) {
					switch {
					case r.Err == nil:
						accepted.Add(1)
					case !errors.Is(r.Err, journal.ErrFull):
						e.Error(r.Err)
					}
				}
			}
		})
	}
	work.Wait()
	if s := e.stats(q); accepted.Load() != may || s.Depth != may {
		e.Errorf("%d accepted, %+v; want %d", accepted.Load(), s, may)
	}
}
