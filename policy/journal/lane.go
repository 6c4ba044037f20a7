package journal

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/sentinel"
)

// A lane writes one batch after another:
//
//	Take ──▶ Flush ──▶ Done
//	           │ not written ─▶ halves ─▶ … ─▶ the one that fails: later, by itself; a dead letter after MaxAttempts
//	           └ nobody knows ─▶ the whole again, later; once that keeps failing: halves, while any of them succeeds
//
// A source that is down fails everything: then nothing is taken further, and nobody's attempts count.
type lane struct {
	*Worker
	later    []later         // what failed by itself
	batch    []Entry         // what was taken and failed as a whole
	failures int             // of batch, one after another
	wake     <-chan struct{} // closed when the worker drains; nil: the lane has seen that
}

// A later is an entry that is tried again by itself.
type later struct {
	Entry
	tries    int
	failures int    // of the tries, those that count: others succeeded meanwhile, or the source said so for sure
	flushed  uint64 // by the worker, when it was last tried
	cause    error
	due      time.Duration // by the clock of mono
	buried   bool          // it is a dead letter, and what remains is to tell
}

// most is how much a lane holds of what failed, in batches. Beyond it takes nothing further.
const most = 4

func (l *lane) run() {
	partial := false
	l.wake = l.draining
	for l.ctx.Err() == nil {
		l.hurry()
		l.retry()
		switch {
		case len(l.batch) > 0:
			if pause(l.ctx, l.o.backoff(l.failures), l.wake) == nil {
				l.again()
			}
		case len(l.later) >= most*l.o.BatchSize:
			pause(l.ctx, l.due(), l.wake)
		default:
			if partial && l.o.Delay > 0 && l.wake != nil && pause(l.ctx, min(l.o.Delay, l.due()), l.wake) != nil {
				return
			}
			partial = l.take()
		}
	}
}

// hurry makes what waits for its time due at once when the worker begins to drain, which may be the last opportunity.
func (l *lane) hurry() {
	select {
	case <-l.wake:
		l.wake = nil
		for i := range l.later {
			l.later[i].due = 0
		}
	default:
	}
}

// due is until when there is something to be tried again.
func (l *lane) due() time.Duration {
	d := time.Duration(math.MaxInt64)
	for _, f := range l.later {
		d = min(d, f.due)
	}
	if d == math.MaxInt64 {
		return d
	}
	return max(d-mono.Now(), 0)
}

// take takes a batch and writes it. It reports whether there was less than a whole one.
func (l *lane) take() (partial bool) {
	ctx, cancel := l.ctx, context.CancelFunc(func() {})
	if d := l.due(); d < math.MaxInt64 {
		ctx, cancel = context.WithTimeout(ctx, d+time.Millisecond)
	}
	entries, err := l.q.Take(ctx, l.o.BatchSize)
	cancel()
	if err != nil {
		if ctx.Err() == nil { // the journal is down
			pause(l.ctx, l.o.backoff(3), l.wake)
		}
		return false
	}
	l.hold(entries)
	gone := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Position != 0 })
	l.batch = slices.DeleteFunc(entries, func(e Entry) bool { return e.Position == 0 })
	for _, e := range gone {
		l.later = append(l.later, later{Entry: e, buried: true, cause: errGone})
	}
	partial = len(l.batch) < l.o.BatchSize
	l.failures = 0
	l.again()
	return partial
}

// wholly is how often a batch is tried as a whole when nobody knows what became of it, before parts of it are.
const wholly = 2

// again writes the batch that was taken.
func (l *lane) again() {
	batch := l.batch
	if len(batch) == 0 {
		l.batch = nil
		return
	}
	failed, errs := l.flush(batch)
	switch {
	case len(failed) == 0:
		l.batch = nil
		return
	case l.ctx.Err() != nil:
		return
	case len(failed) < len(batch): // each for itself
		l.batch = nil
		for i, e := range failed {
			l.fail(later{Entry: e, cause: errs[i]})
		}
		return
	case errors.Is(errs[0], ErrNotWritten), l.failures >= wholly:
		s := &split{lane: l}
		s.halves(failed, errs)
		if s.any || errors.Is(errs[0], sentinel.ErrRejected) {
			l.batch, l.failures = s.untried, 1
			for _, f := range s.failed {
				l.fail(f)
			}
			return
		}
	}
	l.failures++
	l.retries.Add(uint64(len(batch)))
	l.h.Failed(batch, errs[0], false)
}

// A split is the search for those of a batch that the source does not take.
type split struct {
	*lane
	any     bool // something succeeded
	tried   int
	failed  []later
	untried []Entry
}

// hopeless is after how many failures without a success the source is taken to be down.
const hopeless = 16

// halves writes the halves of entries, which together failed with errs.
func (s *split) halves(entries []Entry, errs []error) {
	if len(entries) == 1 {
		s.failed = append(s.failed, later{Entry: entries[0], cause: errs[0]})
		return
	}
	for _, half := range [][]Entry{entries[:len(entries)/2], entries[len(entries)/2:]} {
		if s.ctx.Err() != nil || !s.any && s.tried >= hopeless {
			s.untried = append(s.untried, half...)
			continue
		}
		s.tried++
		failed, errs := s.flush(half)
		if len(failed) < len(half) {
			s.any = true
		}
		if len(failed) > 0 {
			s.halves(failed, errs)
		}
	}
}

// fail notes that the source does not take f.
func (l *lane) fail(f later) {
	flushed := l.flushed.Load()
	f.tries++
	if errors.Is(f.cause, sentinel.ErrRejected) || f.tries > 1 && flushed > f.flushed {
		f.failures++
	}
	f.flushed = flushed
	l.h.Failed([]Entry{f.Entry}, f.cause, false)
	if l.spent(f) {
		l.bury(f)
		return
	}
	l.retries.Add(1)
	f.due = mono.Now() + l.o.backoff(f.tries)
	l.later = append(l.later, f)
}

// spent reports whether f has had its attempts.
func (l *lane) spent(f later) bool { return l.o.MaxAttempts >= 0 && f.failures >= l.o.MaxAttempts }

// bury makes f a dead letter.
func (l *lane) bury(f later) {
	if !f.buried {
		if err := l.q.Bury(l.ctx, []Entry{f.Entry}, []string{f.cause.Error()}); err != nil {
			f.due = mono.Now() + l.o.backoff(3)
			l.later = append(l.later, f)
			return
		}
		f.buried = true
		l.dead.Add(1)
		l.h.Failed([]Entry{f.Entry}, f.cause, true)
	}
	err := l.buried([]string{f.Key})
	if err == nil {
		err = l.q.Done(l.ctx, []Entry{f.Entry})
	}
	if err != nil {
		f.due = mono.Now() + l.o.backoff(3)
		l.later = append(l.later, f)
		return
	}
	l.letGo([]Entry{f.Entry})
}

// retry tries what is due by itself.
func (l *lane) retry() {
	if len(l.later) == 0 {
		return
	}
	now := mono.Now()
	var due, rest []later
	for _, f := range l.later {
		if f.due <= now {
			due = append(due, f)
		} else {
			rest = append(rest, f)
		}
	}
	l.later = rest
	for _, f := range due {
		if l.ctx.Err() != nil {
			return
		}
		if f.buried || l.spent(f) {
			l.bury(f)
			continue
		}
		if failed, errs := l.flush([]Entry{f.Entry}); len(failed) > 0 {
			f.cause = errs[0]
			l.fail(f)
		}
	}
}
