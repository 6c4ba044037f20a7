package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

var takeRules = []rule{
	{"order", "give the longest waiting first, and no more than it was asked for", takeOrder},
	{"once", "give a key that somebody has to nobody else, also when it is written again", takeOnce},
	{"one at a time", "let one taker at most have a key, and give the writes of a key in their order, whoever takes and writes", oneAtATime},
	{"wakes", "wake a Take that waits when something is appended", takeWakes},
	{"wakes again", "wake a Take that waits by Return, by Done with a newer write, and by Retry", takeWakesAgain},
	{"wakes others", "wake a Take that waits on another node", takeWakesOthers},
	{"context", "end a Take that waits with the error of its context", takeContext},
	{"cancelled beside", "lose nothing when a Take is cancelled while something comes", takeCancelledBeside},
}

func takeOrder(e *env) {
	q := e.queue()
	writes := numbered(30)
	at := e.append(q, writes...)
	for from := 0; from < len(writes); {
		t, err := q.Take(e.patient(), 7)
		if err != nil || len(t) == 0 || len(t) > 7 {
			e.Fatalf("Take of 7: %d entries, %v", len(t), err)
		}
		for _, t := range t {
			e.same("Take", t, writes[from], at[from])
			from++
		}
	}
}

func takeOnce(e *env) {
	q := e.queue()
	first := set("k", "1")
	e.takes(q, first, e.append(q, first)[0])
	e.takesNothing(q, "while somebody has the key")
	newer := set("k", "2")
	at := e.append(q, newer)[0]
	e.takesNothing(q, "while somebody has the key, which was written again,")
	e.wantPending(q, newer, at)
}

func oneAtATime(e *env) {
	queues := []journal.Queue{e.queue()}
	if e.h.Shared {
		queues = append(queues, e.queue())
	}
	const keys, rounds, takers = 7, 40, 2
	var mu sync.Mutex
	having := make(map[string]bool)
	source := make(map[string]journal.Position) // what was said to be done
	accepted := make(map[string]journal.Position)
	var writers, workers sync.WaitGroup
	ctx, cancel := context.WithCancel(e.Context())
	defer cancel()
	work := func(q journal.Queue) {
		for round := 0; ; round++ {
			entries, err := q.Take(ctx, 1+round%3)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					e.Errorf("Take: %v", err)
				}
				return
			}
			mu.Lock()
			for _, t := range entries {
				if having[t.Key] {
					e.Errorf("two takers have %s", show(t))
				}
				if t.Position <= source[t.Key] {
					e.Errorf("%s after position %d", show(t), source[t.Key])
				}
				having[t.Key] = true
			}
			mu.Unlock()
			if err := q.Keep(e.Context(), entries); err != nil {
				e.Errorf("Keep: %v", err)
			}
			finish := q.Done
			if round%5 == 4 {
				finish = q.Return
			}
			mu.Lock()
			for _, t := range entries {
				having[t.Key] = false
				if round%5 != 4 {
					source[t.Key] = t.Position
				}
			}
			mu.Unlock()
			if err := finish(e.Context(), entries); err != nil {
				e.Errorf("Done or Return: %v", err)
			}
		}
	}
	for i, q := range queues {
		for range takers {
			workers.Go(func() { work(q) })
		}
		for n := range 2 {
			writers.Go(func() {
				for round := range rounds {
					w := set(fmt.Sprintf("key %d", round%keys), fmt.Sprintf("%d of %d", round, 2*i+n))
					r := q.Append(e.Context(), within, []journal.Write{w})[0]
					if r.Err != nil {
						e.Errorf("Append: %v", r.Err)
						return
					}
					mu.Lock()
					accepted[w.Key] = max(accepted[w.Key], r.Position)
					mu.Unlock()
				}
			})
		}
	}
	writers.Wait()
	for limit := e.patient(); e.stats(queues[0]).Depth > 0; pause(limit) {
		if limit.Err() != nil {
			e.Fatalf("not drained: %+v", e.stats(queues[0]))
		}
	}
	cancel()
	workers.Wait()
	for key, at := range accepted {
		if source[key] != at {
			e.Errorf("the source has of %q position %d, and %d was accepted last", key, source[key], at)
		}
	}
}

// pause is the time between two looks at what tells nobody when it changes.
func pause(ctx context.Context) {
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// taking calls Take in a goroutine of its own, which ends with the rule.
func (e *env) taking(q journal.Queue) <-chan journal.Entry {
	taken, begun := make(chan journal.Entry, 1), make(chan struct{})
	ctx := e.patient()
	go func() {
		defer close(taken)
		close(begun)
		entries, err := q.Take(ctx, 1)
		if err != nil || len(entries) != 1 {
			e.Errorf("a Take that waited: %d entries, %v", len(entries), err)
			return
		}
		taken <- entries[0]
	}()
	<-begun
	e.settle()
	return taken
}

func takeWakes(e *env) {
	q := e.queue()
	for i := range 20 {
		taken := e.taking(q)
		w := set(fmt.Sprintf("key %d", i%2), fmt.Sprint(i))
		at := e.append(q, w)[0]
		t := <-taken
		e.same("a Take that waited", t, w, at)
		e.done(q, t)
	}
}

func takeWakesAgain(e *env) {
	q := e.queue()
	w := set("k", "v")
	at := e.append(q, w)[0]
	t := e.takes(q, w, at)

	taken := e.taking(q)
	e.must(q.Return(e.patient(), []journal.Entry{t}))
	t = <-taken
	e.same("after Return", t, w, at)

	taken = e.taking(q)
	newer := set("k", "newer")
	at = e.append(q, newer)[0]
	e.done(q, t)
	t = <-taken
	e.same("after Done", t, newer, at)

	e.bury(q, t, "cause")
	e.done(q, t)
	taken = e.taking(q)
	if n, err := q.Retry(e.patient(), "k"); n != 1 || err != nil {
		e.Errorf("Retry: %d, %v", n, err)
	}
	e.same("after Retry", <-taken, newer, at)
}

func takeWakesOthers(e *env) {
	if !e.h.Shared {
		e.Skip("this journal is not shared")
	}
	a, b := e.queue(), e.queue()
	for i := range 10 {
		taken := e.taking(b)
		w := set("k", fmt.Sprint(i))
		at := e.append(a, w)[0]
		t := <-taken
		e.same("a Take that waited", t, w, at)
		e.done(b, t)
		e.wantNone(a, "k")
	}
}

func takeContext(e *env) {
	q := e.queue()
	ctx, cancel := context.WithCancel(e.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := q.Take(ctx, 1)
		failed <- err
	}()
	e.settle()
	cancel()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) {
			e.Errorf("a cancelled Take returned %v", err)
		}
	case <-e.patient().Done():
		e.Fatal("a cancelled Take goes on")
	}
	ctx, cancel = context.WithTimeout(e.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := q.Take(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		e.Errorf("a Take with a deadline returned %v", err)
	}
	w := set("k", "v")
	e.takes(q, w, e.append(q, w)[0])
}

func takeCancelledBeside(e *env) {
	q := e.open(e.journal(), name, e.soon)
	want := make(map[string]bool)
	for i := range 30 {
		ctx, cancel := context.WithCancel(e.Context())
		got := make(chan []journal.Entry)
		go func() {
			t, _ := q.Take(ctx, 1)
			got <- t
		}()
		w := set(fmt.Sprintf("key %d", i), "v")
		e.settle()
		go cancel()
		e.append(q, w)
		want[w.Key] = true
		if t := <-got; len(t) > 0 {
			delete(want, t[0].Key)
			e.done(q, t...)
		}
	}
	for len(want) > 0 { // what a cancelled call has taken comes again, at the latest when it is taken over
		t := e.take(q, 1)[0]
		delete(want, t.Key)
		e.done(q, t)
	}
}
