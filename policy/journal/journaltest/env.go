package journaltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// patience is how long the suite waits for what must come.
const patience = 30 * time.Second

// within is what writes are given to be accepted.
const within = time.Minute

// name is that of the queue of most rules.
const name = "a queue"

// env is the state of one rule.
type env struct {
	*testing.T
	h      Harness
	settle func()
	names  map[journal.Queue]int // probes that were made of a queue
}

func (e *env) journal() journal.Journal {
	e.Helper()
	j := e.h.Open(e.T)
	e.Cleanup(func() {
		if err := j.Close(); err != nil {
			e.Errorf("Journal.Close: %v", err)
		}
	})
	return j
}

// options are those of most rules, but for what change says.
func (e *env) options(change func(*journal.Options)) journal.Options {
	e.Helper()
	var o journal.Options
	if e.h.Shared {
		o.TakeOver = time.Hour
	}
	if change != nil {
		change(&o)
	}
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		e.Fatal(err)
	}
	return o
}

func (e *env) open(j journal.Journal, name string, change func(*journal.Options)) journal.Queue {
	e.Helper()
	q, err := j.Open(name, e.options(change))
	if err != nil {
		e.Fatalf("Open: %v", err)
	}
	return q
}

// queue opens the queue of a journal of its own.
func (e *env) queue() journal.Queue {
	e.Helper()
	return e.open(e.journal(), name, nil)
}

// soon is for queues whose entries are taken over soon.
func (e *env) soon(o *journal.Options) { o.TakeOver = e.h.TakeOver }

// reopen closes a queue, and its journal unless that would lose it, and opens them again.
func (e *env) reopen(j journal.Journal, q journal.Queue) (journal.Journal, journal.Queue) {
	e.Helper()
	if err := q.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	if !e.h.Volatile {
		if err := j.Close(); err != nil {
			e.Fatalf("Journal.Close: %v", err)
		}
		j = e.journal()
	}
	return j, e.open(j, name, nil)
}

// patient is a context that ends when a rule has waited for too long.
func (e *env) patient() context.Context {
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	e.Cleanup(cancel)
	return ctx
}

// must fails the rule for an error.
func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func set(key, value string) journal.Write {
	return journal.Write{Key: key, Source: []byte("source of " + key), Value: []byte(value), ID: journal.NewID()}
}

func del(key string) journal.Write {
	return journal.Write{Key: key, Source: []byte("source of " + key), Delete: true, ID: journal.NewID()}
}

// numbered are writes of n keys.
func numbered(n int) (writes []journal.Write) {
	for i := range n {
		writes = append(writes, set(fmt.Sprintf("key %03d", i), fmt.Sprintf("value %d", i)))
	}
	return writes
}

// append appends writes that have to be accepted, and returns their positions.
func (e *env) append(q journal.Queue, writes ...journal.Write) (at []journal.Position) {
	e.Helper()
	receipts := q.Append(e.patient(), within, writes)
	if len(receipts) != len(writes) {
		e.Fatalf("Append of %d writes: %d receipts", len(writes), len(receipts))
	}
	for i, r := range receipts {
		if r.Err != nil || r.Position == 0 {
			e.Fatalf("Append of %.40q: position %d, %v", writes[i].Key, r.Position, r.Err)
		}
		at = append(at, r.Position)
	}
	return at
}

// take takes n entries.
func (e *env) take(q journal.Queue, n int) (entries []journal.Entry) {
	e.Helper()
	for len(entries) < n {
		more, err := q.Take(e.patient(), n-len(entries))
		if err != nil {
			e.Fatalf("Take, after %d of %d: %v", len(entries), n, err)
		}
		if len(more) == 0 || len(more) > n-len(entries) {
			e.Fatalf("Take of %d returned %d entries", n-len(entries), len(more))
		}
		for _, t := range more {
			if t.Ticket == "" {
				e.Fatalf("Take: %s without a ticket", show(t))
			}
		}
		entries = append(entries, more...)
	}
	return entries
}

// takes takes one entry, which has to be that write.
func (e *env) takes(q journal.Queue, w journal.Write, at journal.Position) journal.Entry {
	e.Helper()
	t := e.take(q, 1)[0]
	e.same("Take", t, w, at)
	return t
}

// takeAll takes all that nobody has: it appends a key, and takes until it has that.
func (e *env) takeAll(q journal.Queue) (entries []journal.Entry) {
	e.Helper()
	e.names[q]++
	probe := set(fmt.Sprintf("probe %d %p", e.names[q], q), "")
	e.append(q, probe)
	for {
		t := e.take(q, 1)[0]
		if t.Key == probe.Key {
			e.must(q.Done(e.patient(), []journal.Entry{t}))
			return entries
		}
		entries = append(entries, t)
	}
}

// takesNothing fails if there is something that nobody has.
func (e *env) takesNothing(q journal.Queue, when string) {
	e.Helper()
	for _, t := range e.takeAll(q) {
		e.Fatalf("%s Take returned %s", when, show(t))
	}
}

func (e *env) done(q journal.Queue, entries ...journal.Entry) {
	e.Helper()
	if err := q.Done(e.patient(), entries); err != nil {
		e.Fatalf("Done: %v", err)
	}
}

func (e *env) bury(q journal.Queue, t journal.Entry, cause string) {
	e.Helper()
	if err := q.Bury(e.patient(), []journal.Entry{t}, []string{cause}); err != nil {
		e.Fatalf("Bury: %v", err)
	}
}

// pending returns what is pending of a key.
func (e *env) pending(q journal.Queue, key string) journal.Entry {
	e.Helper()
	entries, err := q.Pending(e.patient(), []string{key})
	if err != nil || len(entries) != 1 {
		e.Fatalf("Pending of %.40q: %d entries, %v", key, len(entries), err)
	}
	return entries[0]
}

func (e *env) wantPending(q journal.Queue, w journal.Write, at journal.Position) {
	e.Helper()
	e.same("Pending", e.pending(q, w.Key), w, at)
}

func (e *env) wantNone(q journal.Queue, key string) {
	e.Helper()
	if t := e.pending(q, key); t.Position != 0 {
		e.Fatalf("Pending: %s, want none", show(t))
	}
}

// same fails unless an entry is that write, with that position.
func (e *env) same(where string, t journal.Entry, w journal.Write, at journal.Position) {
	e.Helper()
	if t.Position != at || !sameWrite(t.Write, w) {
		e.Fatalf("%s: %s, want %s", where, show(t), show(journal.Entry{Write: w, Position: at}))
	}
}

func sameWrite(a, b journal.Write) bool {
	return a.Key == b.Key && bytes.Equal(a.Source, b.Source) && bytes.Equal(a.Value, b.Value) && a.Delete == b.Delete && a.ID == b.ID
}

func (e *env) stats(q journal.Queue) journal.Stats {
	e.Helper()
	s, err := q.Stats(e.patient())
	if err != nil {
		e.Fatalf("Stats: %v", err)
	}
	return s
}

func (e *env) list(q journal.Queue) (entries []journal.Entry) {
	e.Helper()
	if err := q.List(e.patient(), func(t journal.Entry) bool {
		entries = append(entries, t)
		return true
	}); err != nil {
		e.Fatalf("List: %v", err)
	}
	return entries
}

// dead returns the dead letters, in the order of their keys.
func (e *env) dead(q journal.Queue) (letters []journal.DeadLetter) {
	e.Helper()
	if err := q.Dead(e.patient(), func(d journal.DeadLetter) bool {
		letters = append(letters, d)
		return true
	}); err != nil {
		e.Fatalf("Dead: %v", err)
	}
	slices.SortFunc(letters, func(a, b journal.DeadLetter) int { return cmp.Compare(a.Key, b.Key) })
	return letters
}

// wantRefused fails unless all writes were surely not accepted, for that reason.
func (e *env) wantRefused(receipts []journal.Receipt, n int, why error) {
	e.Helper()
	if len(receipts) != n {
		e.Fatalf("%d receipts for %d writes", len(receipts), n)
	}
	for i, r := range receipts {
		if r.Position != 0 || !errors.Is(r.Err, why) || !errors.Is(r.Err, journal.ErrNotWritten) {
			e.Fatalf("receipt %d: position %d, %v; want an error that is %q and %q", i, r.Position, r.Err, why, journal.ErrNotWritten)
		}
	}
}

func show(t journal.Entry) string {
	what := fmt.Sprintf("value %.40q", t.Value)
	if t.Delete {
		what = "a deletion"
	}
	return fmt.Sprintf("key %.40q with %s, id %x, at position %d (merged %d, attempts %d)", t.Key, what, t.ID[:4], t.Position, t.Merged, t.Attempts)
}
