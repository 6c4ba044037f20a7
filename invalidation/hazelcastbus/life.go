package hazelcastbus

import (
	"context"
	"sync"
	"time"

	"github.com/strata-cache/strata/invalidation"
)

// A life is what this node knows of the log's incarnation, shared by the pump, which learns it, and by those who publish. The
// zero Incarnation is none.
type life struct {
	// mu guards the rest.
	mu      sync.Mutex
	current invalidation.Incarnation // none until the pump has found out
	lost    invalidation.Incarnation // the last one of which this node knows that the log has lost entries of it
	newest  int64                    // the greatest sequence that this node knows of current
	failure error                    // why there is no current one
	changed chan struct{}            // closed and replaced whenever current changes
}

func (l *life) init() { l.changed = make(chan struct{}) }

// begin makes of the current incarnation, whose log has an entry at sequence at.
func (l *life) begin(of invalidation.Incarnation, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == of {
		l.newest = max(l.newest, at)
		return
	}
	l.current, l.newest, l.failure = of, at, nil
	close(l.changed)
	l.changed = make(chan struct{})
}

// end says that the log has lost entries of that incarnation: it is never taken for the log's again.
func (l *life) end(of invalidation.Incarnation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = of
	if l.current == of {
		l.current = invalidation.Incarnation{}
	}
}

// isLost reports whether of was ended.
func (l *life) isLost(of invalidation.Incarnation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return of == l.lost
}

// saw notes an entry.
func (l *life) saw(of invalidation.Incarnation, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == of {
		l.newest = max(l.newest, at)
	}
}

// failed notes why there is no current incarnation.
func (l *life) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
}

// await returns the current incarnation and the greatest sequence known of it, waiting for one until ctx or the time ends. None
// is returned with why, nil if nobody knows.
func (l *life) await(ctx context.Context, most time.Duration) (of invalidation.Incarnation, newest int64, failure error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		l.mu.Lock()
		of, newest, failure = l.current, l.newest, l.failure
		changed := l.changed
		l.mu.Unlock()
		if of != (invalidation.Incarnation{}) {
			return of, newest, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return of, 0, failure
		case <-ctx.Done():
			return of, 0, ctx.Err()
		}
	}
}
