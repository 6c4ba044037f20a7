package simulation

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
)

func TestMain(m *testing.M) {
	flag.Parse()
	ms, err := weaken.Parse(*off)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	weaken.Switch(ms...)
	jitter.FromClock()      // a seed has to decide everything
	debug.SetGCPercent(400) // a run leaves little behind, and a fifth of its time went into that
	servertest.Main(m)
}

var (
	oneSeed = flag.Uint64("sim.seed", 0, "run this seed alone, minimise what it violates, and print what happened")
	from    = flag.Uint64("sim.from", 1, "the first seed")
	off     = flag.String("sim.off", "", "mechanisms to switch off, as internal/weaken names them: to see what is found then")
	count   = flag.Int("sim.seeds", 4000/slower, "how many seeds")
)

// search runs seeds until one violates something, on all processors, and returns the smallest such seed that was found, and how
// many were run.
func search(t *testing.T, from uint64, count int, make func(uint64) *script) (found uint64, ran int) {
	t.Helper()
	const workers = 2
	var next, runs, bad atomic.Uint64
	next.Store(from)
	t.Run("search", func(t *testing.T) {
		for i := range workers {
			t.Run(fmt.Sprint("worker=", i), func(t *testing.T) {
				t.Parallel()
				for bad.Load() == 0 {
					seed := next.Add(1) - 1
					if seed >= from+uint64(count) {
						return
					}
					runs.Add(1)
					if run(t, make(seed), false).bad != nil {
						for before := bad.Load(); before == 0 || seed < before; before = bad.Load() {
							if bad.CompareAndSwap(before, seed) {
								break
							}
						}
					}
				}
			})
		}
	})
	return bad.Load(), int(runs.Load())
}

// explain describes what a script violates, as short as it can be had.
func explain(t *testing.T, s *script) string {
	t.Helper()
	small := s
	first := again(t, s, "")
	if first == nil {
		return "not again: the run depends on more than its seed"
	}
	for range 3 {
		small = minimised(small, func(c *script) bool { return again(t, c, first.Kind) != nil })
	}
	out := run(t, small, true)
	return fmt.Sprintf("%v\nas short as possible: %v%v\n%s", first, small, out.bad, strings.Join(out.trace, "\n"))
}

// again returns what s violates, of the kind, if one is named. It tries twice, as one run in some hundreds is not the same.
func again(t *testing.T, s *script, kind string) *violation {
	for range 2 {
		if bad := run(t, s, false).bad; bad != nil && (kind == "" || bad.Kind == kind) {
			return bad
		}
	}
	return nil
}

func TestNoOldValueIsServed(t *testing.T) {
	t.Parallel()
	if *oneSeed != 0 {
		s := generate(*oneSeed)
		out := run(t, s, true)
		t.Logf("%v%s", s, strings.Join(out.trace, "\n"))
		if out.bad != nil {
			t.Fatalf("seed %d: %s", *oneSeed, explain(t, s))
		}
		return
	}
	found, ran := search(t, *from, *count, generate)
	if found != 0 {
		t.Fatalf("seed %d, of %d: %s\nagain: go test ./internal/simulation -run TestNoOldValueIsServed -sim.seed %d", found, ran, explain(t, generate(found)), found)
	}
}

// A failure is worth something only if its seed shows it again. Where several goroutines of one node may go on at one moment, or
// a select has the choice, the scheduler decides, and not the seed: that is seldom.
func TestASeedIsAnInterleaving(t *testing.T) {
	t.Parallel()
	differ, total := 0, max(50, 500/slower)
	for seed := range uint64(total) {
		a, b := run(t, generate(seed), false), run(t, generate(seed), false)
		if !slices.Equal(a.history, b.history) {
			differ++
		}
	}
	t.Logf("%d of %d seeds were not the same a second time", differ, total)
	if differ*20 > total {
		t.Error("too many to replay what is found")
	}
}
