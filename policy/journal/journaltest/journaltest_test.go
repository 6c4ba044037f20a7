package journaltest_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/journaltest"
	"github.com/strata-cache/strata/policy/journal/memjournal"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A mutant is one way to be wrong, and the rule that has to see it.
type mutant struct {
	rule string
	bad  func(q *bad)
	open func(j *badJournal, name string, o journal.Options) (journal.Queue, error)
}

// bad is a queue that is wrong in one way. What is nil is as it should be.
type bad struct {
	journal.Queue
	opened int // how many queues were opened before

	append func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt
	take   func(ctx context.Context, n int) ([]journal.Entry, error)
	keep   func(ctx context.Context, entries []journal.Entry) error
	done   func(ctx context.Context, entries []journal.Entry) error
	bury   func(ctx context.Context, entries []journal.Entry, causes []string) error
	shut   func() error

	mu    sync.Mutex
	taken map[string]journal.Entry // guarded by mu
	gives []journal.Entry          // guarded by mu
}

func (q *bad) Append(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
	if q.append != nil {
		return q.append(ctx, within, writes)
	}
	return q.Queue.Append(ctx, within, writes)
}

func (q *bad) Take(ctx context.Context, n int) ([]journal.Entry, error) {
	take := q.Queue.Take
	if q.take != nil {
		take = q.take
	}
	entries, err := take(ctx, n)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range entries {
		q.taken[t.Key] = t
	}
	return entries, err
}

func (q *bad) Keep(ctx context.Context, entries []journal.Entry) error {
	if q.keep != nil {
		return q.keep(ctx, entries)
	}
	return q.Queue.Keep(ctx, entries)
}

func (q *bad) Done(ctx context.Context, entries []journal.Entry) error {
	if q.done != nil {
		return q.done(ctx, entries)
	}
	return q.Queue.Done(ctx, entries)
}

func (q *bad) Bury(ctx context.Context, entries []journal.Entry, causes []string) error {
	if q.bury != nil {
		return q.bury(ctx, entries, causes)
	}
	return q.Queue.Bury(ctx, entries, causes)
}

func (q *bad) Close() error {
	if q.shut != nil {
		return q.shut()
	}
	return q.Queue.Close()
}

// drop takes what is pending of the keys of entries out of the queue, if that may be.
func (q *bad) drop(ctx context.Context, entries []journal.Entry, may func(t, pending journal.Entry) bool) error {
	for _, t := range entries {
		p, err := q.Pending(ctx, []string{t.Key})
		if err != nil {
			return err
		}
		if p[0].Position == 0 || !may(t, p[0]) {
			continue
		}
		var others []journal.Entry
		for {
			u, err := q.Queue.Take(ctx, 1)
			if err != nil {
				return err
			}
			if u[0].Key == t.Key {
				q.Queue.Done(ctx, u)
				break
			}
			others = append(others, u...)
		}
		q.Queue.Return(ctx, others)
	}
	return nil
}

func givesTwice(q *bad) {
	q.take = func(ctx context.Context, n int) ([]journal.Entry, error) {
		q.mu.Lock()
		again := q.gives
		q.gives = nil
		q.mu.Unlock()
		if len(again) > 0 {
			return again[:1], nil
		}
		entries, err := q.Queue.Take(ctx, n)
		q.mu.Lock()
		q.gives = entries
		q.mu.Unlock()
		return entries, err
	}
}

func losesDeletions(q *bad) {
	q.append = func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
		receipts := make([]journal.Receipt, len(writes))
		for i, w := range writes {
			if p, _ := q.Pending(ctx, []string{w.Key}); w.Delete && p[0].Position != 0 {
				receipts[i].Position = p[0].Position
				continue
			}
			receipts[i] = q.Queue.Append(ctx, within, []journal.Write{w})[0]
		}
		return receipts
	}
}

func doneWithoutCompare(q *bad) {
	q.done = func(ctx context.Context, entries []journal.Entry) error {
		q.Queue.Done(ctx, entries)
		return q.drop(ctx, entries, func(t, p journal.Entry) bool { return t.Ticket != "" && p.Position > t.Position })
	}
}

func doneWithoutTicket(q *bad) {
	q.done = func(ctx context.Context, entries []journal.Entry) error {
		q.mu.Lock()
		entries = slices.Clone(entries)
		for i, t := range entries {
			if now, ok := q.taken[t.Key]; ok {
				entries[i] = now
			}
		}
		q.mu.Unlock()
		return q.Queue.Done(ctx, entries)
	}
}

func doneDropsRetried(q *bad) {
	q.done = func(ctx context.Context, entries []journal.Entry) error {
		q.Queue.Done(ctx, entries)
		return q.drop(ctx, entries, func(t, p journal.Entry) bool { return p.Position == t.Position })
	}
}

func buriesNewer(q *bad) {
	q.bury = func(ctx context.Context, entries []journal.Entry, causes []string) error {
		q.Queue.Return(ctx, entries)
		t, err := q.Queue.Take(ctx, len(entries))
		if err == nil {
			q.Queue.Bury(ctx, t, causes)
		}
		return err
	}
}

// given changes what Take gives.
func given(change func(entries []journal.Entry)) func(q *bad) {
	return func(q *bad) {
		q.take = func(ctx context.Context, n int) ([]journal.Entry, error) {
			entries, err := q.Queue.Take(ctx, n)
			change(entries)
			return entries, err
		}
	}
}

func neverWakes(q *bad) {
	q.take = func(ctx context.Context, n int) ([]journal.Entry, error) {
		if s, err := q.Stats(ctx); err != nil || s.Depth > s.Taken {
			return q.Queue.Take(ctx, n)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func deaf(q *bad) {
	q.take = func(ctx context.Context, n int) ([]journal.Entry, error) {
		return q.Queue.Take(context.WithoutCancel(ctx), n)
	}
}

func dropsWhenCancelled(q *bad) {
	q.take = func(ctx context.Context, n int) ([]journal.Entry, error) {
		entries, err := q.Queue.Take(ctx, n)
		if time.Sleep(time.Millisecond); ctx.Err() != nil {
			q.Queue.Done(context.WithoutCancel(ctx), entries)
			return nil, ctx.Err()
		}
		return entries, err
	}
}

// cuts changes the keys that are appended.
func cuts(change func(string) string) func(q *bad) {
	return func(q *bad) {
		q.append = func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
			writes = slices.Clone(writes)
			for i := range writes {
				writes[i].Key = change(writes[i].Key)
			}
			return q.Queue.Append(ctx, within, writes)
		}
	}
}

func fullForAll(q *bad) {
	q.append = func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
		if s, _ := q.Stats(ctx); s.Depth >= 3 {
			return slices.Repeat([]journal.Receipt{{Err: fail{journal.ErrFull, journal.ErrNotWritten}}}, len(writes))
		}
		return q.Queue.Append(ctx, within, writes)
	}
}

type fail []error

func (f fail) Error() string   { return "bad" }
func (f fail) Unwrap() []error { return f }

// boundInTwoSteps looks, and then appends to a queue that may hold more.
func boundInTwoSteps(j *badJournal, name string, o journal.Options) (journal.Queue, error) {
	may := o.Bound
	o.Bound *= 2
	q, err := j.Journal.Open(name, o)
	return &bad{Queue: q, taken: map[string]journal.Entry{}, append: func(ctx context.Context, within time.Duration, writes []journal.Write) (receipts []journal.Receipt) {
		for _, w := range writes {
			s, _ := q.Stats(ctx)
			if time.Sleep(time.Microsecond); s.Depth >= may {
				receipts = append(receipts, journal.Receipt{Err: fail{journal.ErrFull, journal.ErrNotWritten}})
				continue
			}
			receipts = append(receipts, q.Append(ctx, within, []journal.Write{w})...)
		}
		return receipts
	}}, err
}

func countsAnew(q *bad) {
	q.append = func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
		receipts := q.Queue.Append(ctx, within, writes)
		for i := range receipts {
			receipts[i].Position -= journal.Position(q.opened) << 40
		}
		return receipts
	}
}

func closeSaysDone(q *bad) {
	q.shut = func() error {
		q.mu.Lock()
		for _, t := range q.taken {
			q.Queue.Done(context.Background(), []journal.Entry{t})
		}
		q.mu.Unlock()
		return q.Queue.Close()
	}
}

var mutants = map[string]mutant{
	"gives twice":               {rule: "take/once", bad: givesTwice},
	"gives to two":              {rule: "take/one at a time", bad: givesTwice},
	"gives the newest first":    {rule: "take/order", bad: given(slices.Reverse[[]journal.Entry])},
	"never wakes":               {rule: "take/wakes", bad: neverWakes},
	"never wakes again":         {rule: "take/wakes again", bad: neverWakes},
	"does not hear a context":   {rule: "take/context", bad: deaf},
	"drops when cancelled":      {rule: "take/cancelled beside", bad: dropsWhenCancelled},
	"loses deletions":           {rule: "append/deletion", bad: losesDeletions},
	"forgets what it merged":    {rule: "append/merge", bad: given(func(e []journal.Entry) { change(e, func(t *journal.Entry) { t.Merged = 0 }) })},
	"cuts keys at NUL":          {rule: "append/any bytes", bad: cuts(func(k string) string { k, _, _ = strings.Cut(k, "\x00"); return k })},
	"drops sources":             {rule: "append/entry", bad: given(func(e []journal.Entry) { change(e, func(t *journal.Entry) { t.Source = nil }) })},
	"counts down":               {rule: "append/positions", bad: countsDown},
	"is full for all":           {rule: "bound/full for new keys", bad: fullForAll},
	"bound in two steps":        {rule: "bound/never beyond", open: boundInTwoSteps},
	"done without compare":      {rule: "done/newer write", bad: doneWithoutCompare},
	"done without ticket":       {rule: "done/late", bad: doneWithoutTicket},
	"done of another":           {rule: "done/twice", bad: doneWithoutTicket},
	"done of what was retried":  {rule: "dead/retry before done", bad: doneDropsRetried},
	"buries newer":              {rule: "dead/newer write", bad: buriesNewer},
	"forgets attempts":          {rule: "takeover/silence", bad: given(func(e []journal.Entry) { change(e, func(t *journal.Entry) { t.Attempts = 1 }) })},
	"keeps nothing":             {rule: "takeover/keep", bad: func(q *bad) { q.keep = func(context.Context, []journal.Entry) error { return nil } }},
	"late ones count":           {rule: "takeover/late", bad: doneWithoutTicket, open: sharedTaken()},
	"never takes over":          {rule: "takeover/silence", open: neverOver},
	"never gives back":          {rule: "return/at once", bad: func(q *bad) { q.Queue = noReturn{q.Queue} }},
	"counts anew":               {rule: "open/position grows", bad: countsAnew},
	"loses what was taken":      {rule: "open/again", bad: closeSaysDone},
	"opens a name twice":        {rule: "open/one of a name", open: opensTwice},
	"has one queue":             {rule: "open/names", open: func(j *badJournal, _ string, o journal.Options) (journal.Queue, error) { return opensTwice(j, "q", o) }},
	"works after Close":         {rule: "close/after", bad: func(q *bad) { q.shut = func() error { return nil } }},
	"history: loses deletions":  {rule: "model/random history", bad: losesDeletions},
	"history: done of newer":    {rule: "model/random history", bad: doneWithoutCompare},
	"history: without a ticket": {rule: "model/random history", bad: doneWithoutTicket},
}

func change(entries []journal.Entry, f func(*journal.Entry)) {
	for i := range entries {
		f(&entries[i])
	}
}

// countsDown gives positions that get smaller.
func countsDown(q *bad) {
	q.append = func(ctx context.Context, within time.Duration, writes []journal.Write) []journal.Receipt {
		receipts := q.Queue.Append(ctx, within, writes)
		slices.Reverse(receipts)
		return receipts
	}
}

// noReturn gives nothing back.
type noReturn struct{ journal.Queue }

func (noReturn) Return(context.Context, []journal.Entry) error { return nil }

func neverOver(j *badJournal, name string, o journal.Options) (journal.Queue, error) {
	o.TakeOver = 100 * time.Hour
	return j.Journal.Open(name, o)
}

// sharedTaken lets the queues of all nodes know what any has taken.
func sharedTaken() func(j *badJournal, name string, o journal.Options) (journal.Queue, error) {
	taken := map[string]journal.Entry{}
	return func(j *badJournal, name string, o journal.Options) (journal.Queue, error) {
		q, err := j.Journal.Open(name, o)
		return &bad{Queue: q, taken: taken}, err
	}
}

// opensTwice returns the same queue for a name that is open.
func opensTwice(j *badJournal, name string, o journal.Options) (journal.Queue, error) {
	if q := j.queues[name]; q != nil {
		return q, nil
	}
	q, err := j.Journal.Open(name, o)
	j.queues[name] = q
	return q, err
}

type badJournal struct {
	journal.Journal
	mutant mutant
	opened int
	queues map[string]journal.Queue
}

func (j *badJournal) Open(name string, o journal.Options) (journal.Queue, error) {
	open := (*badJournal).right
	if j.mutant.open != nil {
		open = j.mutant.open
	}
	q, err := open(j, name, o)
	if err != nil || j.mutant.bad == nil {
		return q, err
	}
	b, ok := q.(*bad)
	if !ok {
		b = &bad{Queue: q, opened: j.opened, taken: map[string]journal.Entry{}}
	}
	j.opened++
	j.mutant.bad(b)
	return b, nil
}

func (j *badJournal) right(name string, o journal.Options) (journal.Queue, error) {
	return j.Journal.Open(name, o)
}

const variable = "STRATA_JOURNALTEST_MUTANT"

// TestMutant is run in a process of its own by the test below.
func TestMutant(t *testing.T) {
	m, ok := mutants[os.Getenv(variable)]
	if !ok {
		t.Skip("see TestTheSuiteSeesBrokenJournals")
	}
	journaltest.RunVirtual(t, func(*testing.T) journaltest.Harness {
		hub := memjournal.NewHub()
		return journaltest.Harness{Shared: true, Volatile: true, Open: func(*testing.T) journal.Journal {
			return &badJournal{Journal: hub.Journal(), mutant: m, queues: map[string]journal.Queue{}}
		}}
	})
}

func TestTheSuiteSeesBrokenJournals(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := strings.ReplaceAll(m.rule, " ", "_")
			group, one, _ := strings.Cut(rule, "/")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestMutant$/^"+group+"$/^"+one+"$", "-rapid.nofailfile", "-rapid.checks=2000", "-rapid.shrinktime=0s")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/"+rule) && !strings.Contains(string(out), "deadlock: main bubble goroutine") {
				t.Errorf("the rule %q does not see it: %v\n%.2000s", m.rule, err, out)
			}
		})
	}
}
