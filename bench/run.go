package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/strata-cache/strata/tier"
)

// Run runs the workload on all targets, in interleaved rounds. When ctx ends it returns what was done till then, marked
// as interrupted, and no error. Reads that fail are counted and end nothing.
func Run(ctx context.Context, c *Config) (*Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	report := newReport(c)
	totals := make([]total, len(c.Targets))
	turns := float64(c.Rounds * len(c.Targets))
	turn := 0.0
	for round := 1; round <= c.Rounds; round++ {
		for i, target := range c.Targets {
			if ctx.Err() != nil {
				break
			}
			progress := func(n uint64, share float64) {
				if c.Progress != nil {
					c.Progress(Progress{Target: target.Name, Round: round, Done: (turn + share) / turns, Accesses: n})
				}
			}
			out, src, stats, err := runTurn(ctx, c, target, progress)
			if err != nil && ctx.Err() == nil {
				return nil, fmt.Errorf("bench: round %d on %s: %w", round, target.Name, err)
			}
			turn++
			if src != nil {
				progress(out.accesses, 0)
				totals[i].add(round, out, src, stats)
			}
		}
	}
	report.Interrupted = ctx.Err() != nil
	for i, target := range c.Targets {
		report.Backends = append(report.Backends, totals[i].report(target.Name))
	}
	return report, nil
}

func newReport(c *Config) *Report {
	r := &Report{
		Version:     ReportVersion,
		Started:     time.Now().UTC(),
		Machine:     Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()},
		Rounds:      c.Rounds,
		Concurrency: c.Concurrency,
		ValueSize:   c.ValueSize,
		LocalCost:   c.LocalCost,
		Seed:        c.Seed,
		Workload: WorkloadReport{
			Name:         c.Workload.Name(),
			Keys:         c.Workload.Len(),
			Accesses:     c.Workload.Accesses(),
			SourceMillis: float64(c.SourceDelay) / float64(time.Millisecond),
		},
	}
	if t, ok := c.Workload.(replay); ok {
		r.Workload.Trace = t.Trace.Name()
	}
	if r.Workload.Accesses == 0 {
		r.Workload.TurnSeconds = c.Turn.Seconds()
	}
	return r
}

// total is what came of all turns of a target.
type total struct {
	out    outcome
	loaded map[string]struct{}
	loads  uint64
	stats  tier.Stats
	rounds []RoundReport
}

func (t *total) add(round int, o outcome, s *source, stats tier.Stats) {
	if t.loaded == nil {
		t.out = outcome{latencies: NewLatencies(), read: make([]bool, len(o.read))}
		t.loaded = make(map[string]struct{}, len(s.loaded))
	}
	t.out.add(o)
	t.out.elapsed += o.elapsed
	loads := s.count() // the cache is closed: nothing loads any more
	t.loads += loads
	for k := range s.loaded {
		t.loaded[k] = struct{}{}
	}
	t.stats.RemoteErrors += stats.RemoteErrors
	t.stats.RefusedFills += stats.RefusedFills
	t.stats.Undecodable += stats.Undecodable
	t.stats.Flushes += stats.Flushes
	t.rounds = append(t.rounds, RoundReport{
		Round: round, Accesses: o.accesses, Loads: loads, HitRate: hitRate(o.latencies.Tiers()), Seconds: o.elapsed.Seconds(),
	})
}

func (t *total) report(name string) BackendReport {
	r := BackendReport{Backend: name, Rounds: []RoundReport{}}
	if t.loaded == nil {
		return r // interrupted before its first turn
	}
	for _, read := range t.out.read {
		if read {
			r.DistinctKeys++
		}
	}
	r.Accesses, r.Errors, r.FirstError, r.WrongValues = t.out.accesses, t.out.errors, t.out.firstError, t.out.wrong
	r.Loads, r.LoadedKeys = t.loads, uint64(len(t.loaded))
	r.Tiers = t.out.latencies.Tiers()
	r.HitRate = hitRate(r.Tiers)
	if r.Seconds = t.out.elapsed.Seconds(); r.Seconds > 0 {
		r.Throughput = float64(r.Accesses) / r.Seconds
	}
	r.RemoteErrors, r.RefusedFills = t.stats.RemoteErrors, t.stats.RefusedFills
	r.Undecodable, r.LocalFlushes = t.stats.Undecodable, t.stats.Flushes
	r.Rounds = t.rounds
	return r
}

func hitRate(t Tiers) float64 { return t.Local.Share + t.Remote.Share }
