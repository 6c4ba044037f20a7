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
func TestWithoutAMechanismThereAreViolations(t *testing.T) { // not parallel: each case needs the processors
	for _, c := range []struct {
		without weaken.Mechanism
		faults  string
	}{
		{weaken.Lease, "straddle-load"},
		{weaken.EpochCheck, "straddle-reply"},
		{weaken.BumpAfter, "straddle-own"},
		{weaken.JoinCheck, "straddle-load"},
		{weaken.Trust, "blackhole-from-bus"},
		{weaken.Replay, "cut-bus"},
	} {
		t.Run(c.without.String(), func(t *testing.T) {
			config := coherence.Config{
				Backend: "redis", Nodes: 3, Duration: 2 * time.Second, MaxStaleness: 500 * time.Millisecond, Faults: []string{c.faults}, MinFaults: 1, MinReads: 1,
				Traffic: node.Traffic{Keys: 200, Rate: 600, Readers: 20},
			}
			began := time.Now()
			r := check(t, &config, c.without)
			t.Logf("%v: %d violations in %v, %v", c.without, r.Verdict.Violations(), time.Since(began), r.Verdict.Violated)
			if r.Verdict.OK() || r.Verdict.Violated[history.Impossible] > 0 {
				t.Errorf("no violation: %s", text(r))
			}
		})
	}
}
