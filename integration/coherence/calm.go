package coherence

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

// The calm workload: many writes, few keys, and nothing goes wrong.
var calm = node.Traffic{Keys: 200, Skew: 1.1, Writes: 0.1, Rate: 500, Readers: 32, Many: -1, Calm: true}

// MostLoads is how many loads of the source a read may cost, as a multiple of what it costs with the hand-made pair.
const MostLoads = 1.15

// Calm compares a cache with a hand-made pair of Ristretto and Redis with pub/sub, by the same operations.
type Calm struct {
	Strata Side `json:"strata"`
	Plain  Side `json:"plain"`

	// Ratio is the loads a read of the first, by those of the second.
	Ratio float64 `json:"ratio"`
}

// A Side is one of the two.
type Side struct {
	Reads        int           `json:"reads"`
	Writes       int           `json:"writes"`
	Loads        int64         `json:"source_loads"`
	LoadsPerRead float64       `json:"loads_per_read"`
	LocalShare   float64       `json:"local_share"`
	Violations   int           `json:"violating_runs"`
	Worst        time.Duration `json:"worst_staleness_ns"`
}

func sideOf(v *history.Verdict, loads int64) Side {
	return Side{
		Reads: v.Reads, Writes: v.Writes, Loads: loads, LoadsPerRead: float64(loads) / float64(max(1, v.Reads)), LocalShare: v.LocalShare,
		Violations: v.Violations(), Worst: v.Worst,
	}
}

// isCalm reports whether nothing is to go wrong.
func isCalm(faults []string) bool {
	return !slices.ContainsFunc(faults, func(f string) bool { return f != "" && f != "none" })
}

// compare does with a hand-made pair what r did with a cache.
func (r *run) compare(ctx context.Context, with *Report) (_ *Calm, err error) {
	c := r.Config
	c.Progress = func(done float64, _ string) { r.Progress(done, "the same with a hand-made pair") }
	o, err := newRun(&c)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, close := range slices.Backward(o.closers) {
			err = errors.Join(err, close())
		}
	}()
	o.plain, o.apart = true, true
	if o.backend, err = r.plainSite(ctx, o); err != nil {
		return nil, err
	}
	o.bus = o.backend
	if err := o.openNodes(ctx); err != nil {
		return nil, err
	}
	if err := o.traffic(ctx); err != nil {
		return nil, err
	}
	if err := o.end(ctx); err != nil {
		return nil, err
	}
	report, err := o.report()
	if err != nil {
		return nil, err
	}
	out := &Calm{Strata: sideOf(with.Verdict, r.calmLoads), Plain: sideOf(report.Verdict, o.calmLoads)}
	out.Ratio = out.Strata.LoadsPerRead / out.Plain.LoadsPerRead
	return out, nil
}

// plainSite is a Redis: one that is there, or one of its own.
func (r *run) plainSite(ctx context.Context, o *run) (*site, error) {
	for _, s := range []*site{r.backend, r.bus} {
		if s.product == redis {
			return s, nil
		}
	}
	s, err := startSite(ctx, "server", redis, false)
	if err == nil {
		o.closers = append(o.closers, s.Close)
	}
	return s, err
}
