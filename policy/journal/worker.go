package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A Handler is who knows what the bytes mean: a worker gives it what it took from a queue. Its methods are called concurrently; a panic
// is an error.
type Handler interface {
	// Flush makes the source have what entries say, and returns what became of each: nil for all, or an error or nil for each, in order.
	// nil says that the source has it, or newer. An error that is ErrRejected says that the source does not take it: after
	// Options.MaxAttempts it is a dead letter. Where entries share their fate, as in one transaction, they share the error; the
	// worker finds out by smaller batches whose it is, at once if it is ErrNotWritten.
	Flush(ctx context.Context, entries []Entry) []error

	// Buried is told of keys whose write became a dead letter, so that nobody shows it any longer. If it fails it is called again.
	Buried(ctx context.Context, keys []string) error

	// Failed is told of entries that the source did not take, and whether they are dead letters now.
	Failed(entries []Entry, err error, dead bool)
}

// A Worker takes what is pending in a queue and gives it to a Handler in batches.
type Worker struct {
	q Queue
	o Options
	h Handler

	flushed, retries, dead atomic.Uint64
	draining               chan struct{} // closed by drain
	drain                  func()        // once

	ctx   context.Context
	stop  context.CancelFunc
	lanes sync.WaitGroup

	mu   sync.Mutex
	held map[string]Entry // by ticket; what this worker has taken; guarded by mu
}

// Work starts a worker, which runs until Drain or Stop. o has its defaults filled in.
func Work(q Queue, o Options, h Handler) *Worker {
	w := &Worker{q: q, o: o, h: h, held: make(map[string]Entry), draining: make(chan struct{})}
	w.drain = sync.OnceFunc(func() { close(w.draining) })
	w.ctx, w.stop = context.WithCancel(context.Background())
	for range o.Workers {
		w.lanes.Go((&lane{Worker: w}).run) // ends with stop
	}
	w.lanes.Go(w.keep) // ends with stop
	return w
}

// Counts are what a worker did.
type Counts struct {
	Flushed uint64 // writes that the source took
	Retries uint64 // writes that it did not, and that were tried again
	Dead    uint64 // writes that became dead letters
}

// Counts returns what the worker did so far.
func (w *Worker) Counts() Counts {
	return Counts{Flushed: w.flushed.Load(), Retries: w.retries.Load(), Dead: w.dead.Load()}
}

// Drain writes what is pending now, without delay, until nothing of that is or ctx ends. Then it stops the worker.
func (w *Worker) Drain(ctx context.Context) error {
	defer w.Stop()
	w.drain()
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		s, err := w.q.Stats(ctx)
		if err == nil && (s.Depth == 0 || s.Taken == 0 && s.Oldest.After(began)) {
			return nil
		}
		if pause(ctx, wait, nil) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Stop ends the worker, and waits for what it is doing. What it had taken others get when the queue is closed, or after TakeOver. It is
// idempotent.
func (w *Worker) Stop() {
	w.stop()
	w.lanes.Wait()
}

// keep tells the queue now and then that this worker still works on what it has.
func (w *Worker) keep() {
	tick := time.NewTicker(w.o.TakeOver / 6)
	defer tick.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		entries := make([]Entry, 0, len(w.held))
		for _, e := range w.held {
			entries = append(entries, e)
		}
		w.mu.Unlock()
		if len(entries) > 0 {
			w.q.Keep(w.ctx, entries) // one that fails costs a second writer, which versions are for
		}
	}
}

func (w *Worker) hold(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		w.held[e.Ticket] = e
	}
}

func (w *Worker) letGo(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		delete(w.held, e.Ticket)
	}
}

// flush gives entries to the source, takes those out of the queue that it has, and returns the others with their errors.
func (w *Worker) flush(entries []Entry) (failed []Entry, errs []error) {
	ctx, cancel := context.WithTimeout(w.ctx, w.o.FlushTimeout)
	defer cancel()
	results, err := w.call(ctx, entries)
	var made []Entry
	for i, e := range entries {
		switch {
		case err != nil:
			failed, errs = append(failed, e), append(errs, err)
		case results != nil && results[i] != nil:
			failed, errs = append(failed, e), append(errs, results[i])
		default:
			made = append(made, e)
		}
	}
	if len(made) == 0 {
		return failed, errs
	}
	if err := w.q.Done(w.ctx, made); err != nil { // they are written again
		for _, e := range made {
			failed, errs = append(failed, e), append(errs, fmt.Errorf("written, and still in the journal: %w", err))
		}
		return failed, errs
	}
	w.letGo(made)
	w.flushed.Add(uint64(len(made)))
	return failed, errs
}

func (w *Worker) call(ctx context.Context, entries []Entry) (results []error, err error) {
	defer contain(&err)
	results = w.h.Flush(ctx, entries)
	if results != nil && len(results) != len(entries) {
		return nil, fmt.Errorf("flush: %d results for %d entries", len(results), len(entries))
	}
	return results, nil
}

// buried tells of dead letters.
func (w *Worker) buried(keys []string) (err error) {
	defer contain(&err)
	return w.h.Buried(w.ctx, keys)
}

// contain makes a panic an error.
func contain(err *error) {
	if r := recover(); r != nil {
		*err = &sentinel.PanicError{Value: r, Stack: debug.Stack()}
	}
}

// pause waits for d, or until wake is closed.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-wake:
	}
	return nil
}

// backoff is the pause after so many failures.
func (o Options) backoff(failures int) time.Duration {
	d := o.MaxBackoff
	if shift := failures - 1; shift < 30 && o.MinBackoff<<shift < d {
		d = o.MinBackoff << max(0, shift)
	}
	return d/2 + jitter.N(d/2+1)
}

// errGone is what becomes of an entry that has no write any more.
var errGone = errors.New("the write was buried by a worker that died")
