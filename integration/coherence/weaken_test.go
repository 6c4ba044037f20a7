package coherence_test

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/integration/coherence"
	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
	"github.com/strata-cache/strata/internal/weaken"
)

// Without the mechanism there are violations, so with it their absence says something.
func TestWithoutAMechanismThereAreViolations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		without weaken.Mechanism
		faults  string
		times   int
	}{
		{weaken.Lease, "straddle-load", 1},
		{weaken.EpochCheck, "straddle-reply", 2},
		{weaken.BumpAfter, "straddle-own", 2},
		{weaken.JoinCheck, "straddle-load", 2},
		{weaken.Trust, "blackhole-from-bus", 3},
		{weaken.Replay, "cut-bus", 3},
		{weaken.Fence, "die-writing", 1},
		{weaken.Repair, "blackhole-to-backend", 3},
		{weaken.KeepFence, "die-writing", 1}, // on memcached: on Redis a script of the server's has these rules
		{weaken.NoBlindLocal, "die-writing", 1},
		{weaken.AnnounceAfter, "straddle-write", 1},
		{weaken.SourceSettle, "unknown-outcome", 1},
		{weaken.Guard, "restore-server", 1},
	} {
		t.Run(c.without.String(), func(t *testing.T) {
			t.Parallel()
			const tries = 6 // the first does it, unless the machine has a great deal else to do
			for range tries {
				backend := "redis"
				if c.without == weaken.KeepFence {
					backend = "memcached"
				}
				config := coherence.Config{
					Backend: backend, Nodes: 3, Duration: 2 * time.Second, MaxStaleness: 500 * time.Millisecond, Faults: []string{c.faults},
					MinFaults: c.times, MinReads: 1, Traffic: node.Traffic{Keys: 100, Rate: 600, Readers: 16, Sweep: time.Hour},
				}
				began := time.Now()
				r := check(t, &config, c.without)
				t.Logf("%v: %v in %v", c.without, r.Verdict.Violated, time.Since(began))
				if !r.Verdict.OK() && r.Verdict.Violated[history.Impossible] == 0 {
					return
				}
			}
			t.Errorf("no violation in %d tries", tries)
		})
	}
}
