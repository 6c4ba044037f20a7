package simulation

import (
	"testing"

	"github.com/strata-cache/strata/internal/weaken"
)

// sought are the mechanisms without which the search has to find an old value within so many seeds: a search that finds nothing
// proves something only if it finds what is there to be found. Without AnnounceAfter, IdentityFlush, KeepFence and TagIncarnation it needs some
// thousand seeds, and without NoBlindLocal and TagPosition it has found nothing in 8,000: findings_test.go plays these, but for
// TagPosition, of which package tier has a test.
var sought = map[weaken.Mechanism]int{
	weaken.Lease:      2000,
	weaken.EpochCheck: 4000,
	weaken.BumpAfter:  4000,
	weaken.JoinCheck:  2000,
	weaken.Replay:     1000,
	weaken.Trust:      4000,

	weaken.Fence:        2000,
	weaken.Guard:        2000,
	weaken.Repair:       2000,
	weaken.RepairBypass: 4000,
	weaken.RepairLog:    4000,
	weaken.Ride:         4000,
	weaken.SourceSettle: 1000,
}

// Not parallel: the switches are the process's.
func TestWithoutAMechanismTheSearchFindsAnOldValue(t *testing.T) {
	if slower > 1 {
		t.Skip("under the race detector that takes minutes: scripts/test runs it without")
	}
	for m, most := range sought {
		t.Run(m.String(), func(t *testing.T) {
			defer weaken.Switch(m)()
			found, ran := search(t, *from, most, generate)
			if found == 0 {
				t.Fatalf("nothing in %d seeds", ran)
			}
			t.Logf("seed %d, of %d", found, ran)
			if testing.Verbose() {
				t.Log(explain(t, generate(found)))
			}
		})
	}
}
