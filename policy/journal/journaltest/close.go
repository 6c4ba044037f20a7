package journaltest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

var closeRules = []rule{
	{"after", "fail every call after Close with ErrClosed, and let Close be called again", afterClose},
	{"journal", "close its queues with the journal, and open none afterwards", closeJournal},
	{"ends take", "end a Take that waits with ErrClosed", closeEndsTake},
	{"beside everything", "let Close be called beside everything else, and keep what it said that it accepted", closeBeside},
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func isUnavailable(err error) bool { return errors.Is(err, journal.ErrUnavailable) }

// calls makes every call but Append, with entries that were taken.
func calls(ctx context.Context, q journal.Queue, taken []journal.Entry) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, c := range []struct {
			name string
			call func() error
		}{
			{"Pending", func() error { _, err := q.Pending(ctx, []string{"there"}); return err }},
			{"Take", func() error {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				_, err := q.Take(ctx, 1)
				return err
			}},
			{"Keep", func() error { return q.Keep(ctx, taken) }},
			{"Done", func() error { return q.Done(ctx, taken) }},
			{"Return", func() error { return q.Return(ctx, taken) }},
			{"Bury", func() error { return q.Bury(ctx, taken, make([]string, len(taken))) }},
			{"List", func() error { return q.List(ctx, func(journal.Entry) bool { return true }) }},
			{"Dead", func() error { return q.Dead(ctx, func(journal.DeadLetter) bool { return true }) }},
			{"Retry", func() error { _, err := q.Retry(ctx); return err }},
			{"Purge", func() error { _, err := q.Purge(ctx); return err }},
			{"Stats", func() error { _, err := q.Stats(ctx); return err }},
		} {
			if !yield(c.name, c.call()) {
				return
			}
		}
	}
}

func (e *env) wantClosed(q journal.Queue, taken []journal.Entry) {
	e.Helper()
	e.wantRefused(q.Append(e.patient(), within, numbered(2)), 2, journal.ErrClosed)
	for call, err := range calls(e.patient(), q, taken) {
		if !errors.Is(err, journal.ErrClosed) {
			e.Errorf("%s: %v, want ErrClosed", call, err)
		}
	}
	for range 2 {
		e.must(q.Close())
	}
}

func afterClose(e *env) {
	q := e.queue()
	e.append(q, set("there", "v"))
	t := e.take(q, 1)
	e.must(q.Close())
	e.wantClosed(q, t)
}

func closeJournal(e *env) {
	j := e.journal()
	a, b := e.open(j, "a", nil), e.open(j, "b", nil)
	e.append(a, set("there", "v"))
	t := e.take(a, 1)
	for range 2 {
		e.must(j.Close())
	}
	e.wantClosed(a, t)
	e.wantClosed(b, nil)
	if _, err := j.Open("c", e.options(nil)); !errors.Is(err, journal.ErrClosed) {
		e.Errorf("Open after Close: %v, want ErrClosed", err)
	}
}

func closeEndsTake(e *env) {
	q := e.queue()
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := q.Take(e.Context(), 1)
			ended <- err
		}()
	}
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() {
			if err := q.Close(); err != nil {
				e.Errorf("Close: %v", err)
			}
		})
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, journal.ErrClosed) {
			e.Errorf("Take returned %v, want ErrClosed", err)
		}
	}
	closers.Wait()
}

func closeBeside(e *env) {
	j := e.journal()
	q := e.open(j, name, nil)
	var mu sync.Mutex
	accepted := make(map[string]journal.Position)
	unclear := make(map[string]bool)
	var work sync.WaitGroup
	begun := make(chan struct{}, 8)
	for i := range 4 {
		work.Go(func() {
			for k := range 500 {
				w := set(fmt.Sprintf("%d of %d", k, i), "v")
				r := q.Append(e.Context(), within, []journal.Write{w})[0]
				mu.Lock()
				if r.Err == nil {
					accepted[w.Key] = r.Position
				} else if !errors.Is(r.Err, journal.ErrNotWritten) {
					unclear[w.Key] = true
				}
				mu.Unlock()
				if k == 5 {
					begun <- struct{}{}
				}
				if r.Err != nil {
					if !errors.Is(r.Err, journal.ErrClosed) {
						e.Errorf("Append: %v", r.Err)
					}
					return
				}
			}
		})
		work.Go(func() {
			for {
				t, err := q.Take(e.Context(), 10)
				if err == nil {
					err = q.Keep(e.Context(), t)
				}
				if err == nil {
					err = q.Return(e.Context(), t)
				}
				if err == nil {
					_, err = q.Stats(e.Context())
				}
				if err != nil {
					if !errors.Is(err, journal.ErrClosed) {
						e.Error(err)
					}
					return
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	for range 2 {
		work.Go(func() {
			if err := q.Close(); err != nil {
				e.Errorf("Close: %v", err)
			}
		})
	}
	work.Wait()
	if e.Failed() {
		return
	}
	_, q = e.reopen(j, q)
	found := make(map[string]journal.Position)
	for _, t := range e.takeAll(q) {
		found[t.Key] = t.Position
		if accepted[t.Key] != t.Position && !unclear[t.Key] {
			e.Errorf("%s, which was accepted at %d", show(t), accepted[t.Key])
		}
	}
	for key, at := range accepted {
		if found[key] != at {
			e.Errorf("%q was accepted at %d, and is not to be had afterwards", key, at)
		}
	}
}
