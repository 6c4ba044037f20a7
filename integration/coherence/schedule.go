package coherence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// gap is about how long at least nothing goes wrong between two faults of a lane.
const gap = 300 * time.Millisecond

// schedule plays the chosen faults, each lane for itself, until the duration is over and each has happened often enough.
func (r *run) schedule(ctx context.Context) {
	lanes := map[string][]fault{}
	var names []string
	for _, f := range r.chosen {
		if lanes[f.lane] == nil {
			names = append(names, f.lane)
		}
		lanes[f.lane] = append(lanes[f.lane], f)
	}
	full, cancelFull := context.WithTimeout(ctx, r.Duration)
	defer cancelFull()
	longer, cancelLonger := context.WithTimeout(ctx, r.Duration*3/2+30*time.Second)
	defer cancelLonger()
	var playing sync.WaitGroup
	for i, name := range names {
		l := &lane{run: r, faults: lanes[name], rand: rand.New(rand.NewPCG(r.Seed, uint64(i)+1))}
		l.plan()
		for range l.width {
			playing.Go(func() { l.play(full, longer) }) // ends with the contexts; joined below
		}
	}
	ctx, stop := context.WithCancel(ctx)
	var around sync.WaitGroup
	around.Go(func() { r.follow(ctx) })      // ends with ctx; joined below
	around.Go(func() { r.watch(ctx, full) }) // the same
	<-full.Done()
	playing.Wait()
	stop()
	around.Wait()
}

// A lane is faults that do not overlap, or at one node do not.
type lane struct {
	*run
	faults []fault
	width  int           // how many go on at a time
	gap    time.Duration // about how long between two of them

	mu    sync.Mutex
	rand  *rand.Rand // guarded by mu, as what follows
	queue []fault
}

// plan decides how many faults go on at a time, so that each happens often enough, and how long nothing does in between. Only
// faults of nodes can go on at the same time.
func (l *lane) plan() {
	var round time.Duration // of each fault once
	for _, f := range l.faults {
		round += time.Duration(float64(f.lasts) * l.pace)
	}
	gaps := gap * time.Duration(len(l.faults))
	need := 1.2 * float64(round+gaps) * float64(l.MinFaults) / float64(l.Duration)
	l.width = 1
	if l.faults[0].lane == laneNodes {
		l.width = max(1, min(int(math.Ceil(need)), l.Nodes-1))
	}
	// One round more than needed fills the time. What is left of it is peace, in which caches are filled again.
	often := max(l.MinFaults+1, int(l.Duration/(40*time.Second)))
	left := l.Duration*time.Duration(l.width)/time.Duration(often) - round
	l.gap = max(gap, left/time.Duration(len(l.faults)))
}

// next is the fault that is to happen now: each once, in random order, and then anew. Late, only those that did not happen
// often enough.
func (l *lane) next(late bool) (fault, *rand.Rand, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	enough := func(f fault) bool { return late && l.count(f.name) >= l.MinFaults }
	l.queue = slices.DeleteFunc(l.queue, enough)
	if len(l.queue) == 0 {
		l.queue = slices.DeleteFunc(slices.Clone(l.faults), enough)
		l.rand.Shuffle(len(l.queue), func(i, j int) { l.queue[i], l.queue[j] = l.queue[j], l.queue[i] })
	}
	if len(l.queue) == 0 {
		return fault{}, nil, false
	}
	f := l.queue[0]
	l.queue = l.queue[1:]
	return f, rand.New(rand.NewPCG(l.rand.Uint64(), 0)), true
}

func (l *lane) play(full, longer context.Context) {
	for longer.Err() == nil {
		ctx := full
		if full.Err() != nil {
			ctx = longer
		}
		f, random, ok := l.next(full.Err() != nil)
		if !ok {
			return
		}
		sleep(ctx, time.Duration((0.5+random.Float64())*float64(l.gap)))
		if ctx.Err() != nil && longer.Err() == nil {
			ctx = longer // it was to happen: let it
			if l.count(f.name) >= l.MinFaults {
				continue
			}
		}
		p := &playing{run: l.run, fault: f, rand: random}
		err := l.once(ctx, p)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			continue // the time was over before it had begun
		}
		if err != nil {
			l.failed("%s of %s: %v", f.name, p.target, err)
			continue
		}
		if p.from != 0 {
			l.played(p)
		}
	}
}

// once plays a fault. Scripts and those of servers wait for each other: a script whose steps fail shows nothing, and a fence that
// a server loses guards nothing.
func (r *run) once(ctx context.Context, p *playing) error {
	switch p.fault.lane {
	case laneNodes:
	case laneScripts:
		r.calmServers.Lock()
		defer r.calmServers.Unlock()
	default:
		r.calmServers.RLock()
		defer r.calmServers.RUnlock()
	}
	return p.fault.play(ctx, p)
}

func (r *run) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[name]
}

func (r *run) played(p *playing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[p.fault.name]++
	r.history.Faults = append(r.history.Faults, p.entry())
}

// follow leads clients to whichever server the Sentinels name.
func (r *run) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for _, s := range []*site{r.backend, r.bus} {
			r.lead(ctx, s)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// watch tells how far it is.
func (r *run) watch(ctx, full context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		r.mu.Lock()
		runs, writes, faults := len(r.history.Runs), len(r.history.Writes), len(r.history.Faults)
		r.mu.Unlock()
		what := fmt.Sprintf("%d runs of reads, %d writes, %d faults", runs, writes, faults)
		if full.Err() != nil {
			what += "; some faults are due yet"
		}
		r.Progress(min(1, float64(time.Since(began))/float64(r.Duration)), what)
		sleep(ctx, 200*time.Millisecond)
	}
}
