package coherence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/strata-cache/strata/integration/coherence/clock"
	"github.com/strata-cache/strata/integration/coherence/history"
)

// A fault is one thing that goes wrong, or a script that makes things meet which seldom do.
type fault struct {
	name  string
	about string
	lane  string                                      // faults of one lane do not overlap
	lasts time.Duration                               // about how long it takes, in a run that is long enough
	play  func(ctx context.Context, p *playing) error // makes it happen and undoes it; ctx ends it early
}

// playing is a fault under way.
type playing struct {
	*run
	fault  fault
	rand   *rand.Rand
	target string
	from   int64
}

// begin notes that the fault now begins.
func (p *playing) begin(target string, args ...any) {
	p.target, p.from = fmt.Sprintf(target, args...), clock.Now()
}

// hold waits for a random time, which is shorter where the run is.
func (p *playing) hold(ctx context.Context, low, high time.Duration) {
	sleep(ctx, time.Duration(float64(low+time.Duration(p.rand.Float64()*float64(high-low)))*p.pace))
}

// entry is what the history keeps of it.
func (p *playing) entry() history.Fault {
	return history.Fault{Name: p.fault.name, Target: p.target, From: p.from, To: clock.Now()}
}

// The lanes.
const (
	laneNodes   = "nodes"
	laneScripts = "scripts"
)

// catalogue returns every fault that applies to the servers of r.
func (r *run) catalogue() []fault {
	all := slices.Concat(nodeFaults(), wireFaults("backend", func(n *seat) *link { return n.backend }))
	if r.bus != r.backend || len(r.seats) > 1 {
		all = append(all, wireFaults("bus", func(n *seat) *link { return n.bus })...)
	}
	all = append(all, r.backend.faults()...)
	if r.bus != r.backend {
		all = append(all, r.bus.faults()...)
	}
	if len(r.seats) > 1 {
		all = append(all, scripts()...)
	}
	return all
}

// choose returns the faults of a list. A word is all, none, a name or the beginning of names, and takes faults away if a minus
// stands before it.
func choose(catalogue []fault, list []string) ([]fault, error) {
	in := map[string]bool{}
	for _, word := range list {
		rest, minus := strings.CutPrefix(strings.TrimSpace(word), "-")
		if rest == "" || rest == "none" {
			continue
		}
		found := minus || rest == "all"
		for _, f := range catalogue {
			if rest == "all" || f.name == rest || strings.HasPrefix(f.name, rest+"-") {
				in[f.name], found = !minus, true
			}
		}
		if !found {
			var names []string
			for _, f := range catalogue {
				names = append(names, f.name)
			}
			return nil, fmt.Errorf("%w: no fault %q applies: there are all, none, %s", ErrConfig, rest, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(catalogue), func(f fault) bool { return !in[f.name] }), nil
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
