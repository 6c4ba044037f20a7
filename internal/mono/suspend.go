package mono

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/internal/weaken"
)

// least is what counts as a suspend. Both clocks are read one after the other, and what passes in between is none.
const least = time.Millisecond

var (
	// mu is held by who changes slept and woke.
	mu   sync.Mutex
	woke = newWoke() // when the last suspend was noticed, by Go's clock since base; set before slept

	origin    = firstGap()
	pretended atomic.Int64 // see Suspend
)

func newWoke() *atomic.Int64 {
	var w atomic.Int64
	w.Store(math.MinInt64)
	return &w
}

// firstGap is the best of some readings, as nothing is known yet.
func firstGap() (most time.Duration) {
	for range 8 {
		most = max(most, gap())
	}
	return most
}

// look asks whether the machine was suspended, and returns what Now returns when Go's clock reads n.
//
//go:noinline
func look(n time.Duration) time.Duration {
	// The gap is too small if something comes between the readings, and never too large: what was slept only grows.
	if total := int64(gap()-origin) + pretended.Load(); total >= slept.Load()+int64(least) && !weaken.Off(weaken.Suspend) {
		notice(total)
	}
	checked.Store(int64(n)) // after slept: who sees this sees that
	return n + time.Duration(slept.Load())
}

func notice(total int64) {
	mu.Lock()
	defer mu.Unlock()
	if total >= slept.Load()+int64(least) {
		woke.Store(int64(time.Since(base)))
		slept.Store(total)
	}
}

// Of returns the reading that Now would have given at t, which must carry a monotonic reading (be a time.Now()), or, if the machine
// was suspended since, an earlier one.
func Of(t time.Time) time.Duration {
	n := t.Sub(base)
	total := slept.Load() // before woke: a suspend that is counted here is seen there
	if int64(n) <= woke.Load() {
		return n
	}
	return n + time.Duration(total)
}

// Suspend is for tests alone: from now on the machine has been suspended d longer, for the whole process. restore puts back what was
// before.
func Suspend(d time.Duration) (restore func()) {
	was := [...]int64{pretended.Load(), slept.Load(), woke.Load()}
	pretended.Add(int64(d))
	return func() {
		pretended.Store(was[0])
		slept.Store(was[1])
		woke.Store(was[2])
	}
}
