package journaltest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// A Harness is the data of one journal, used by one rule.
type Harness struct {
	// Open opens a journal on the data. The suite closes it. Unless it is Shared, one is open at a time.
	Open func(t *testing.T) journal.Journal

	// Shared says that the journals which Open returns are those of nodes that share their queues. It is no ability to have in
	// silence: the suite fails if Journal.Shared says otherwise.
	Shared bool

	// Volatile says that what is pending is lost when the journal is closed. It stays when a queue is closed.
	Volatile bool

	// TakeOver is with which journal.Options.TakeOver a shared journal is tested. Default 2 s; the suite waits for it several times.
	TakeOver time.Duration

	// Earlier runs f where the clock by which positions are counted shows an earlier time than outside of it. f opens the journal
	// anew. nil: the rule is skipped.
	Earlier func(t *testing.T, f func(t *testing.T))

	// Stop makes the journal's server unreachable for the rest of the rule. nil: the rule is skipped.
	Stop func(t *testing.T)
}

// A rule is one sentence of the contract.
type rule struct {
	name string
	text string // printed when the rule is broken
	test func(e *env)
}

var groups = []struct {
	name  string
	rules []rule
}{
	{"append", appendRules},
	{"bound", boundRules},
	{"take", takeRules},
	{"done", doneRules},
	{"return", returnRules},
	{"takeover", takeOverRules},
	{"dead", deadRules},
	{"list", listRules},
	{"open", openRules},
	{"close", closeRules},
	{"model", modelRules},
}

// Run checks a journal. newHarness is called once for each rule, and cleans up by t.Cleanup.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	run(t, func(t *testing.T, r rule) {
		t.Parallel()
		r.run(t, newHarness(t), func() {})
	})
}

// RunVirtual is Run for a journal that needs nothing but the memory of the process: each rule runs in a bubble of testing/synctest.
func RunVirtual(t *testing.T, newHarness func(t *testing.T) Harness) {
	run(t, func(t *testing.T, r rule) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { r.run(t, newHarness(t), synctest.Wait) })
	})
}

func run(t *testing.T, one func(t *testing.T, r rule)) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) { one(t, r) })
			}
		})
	}
}

// run tests a rule. settle waits until all that is under way waits for something, where that can be known.
func (r rule) run(t *testing.T, h Harness, settle func()) {
	if h.TakeOver == 0 {
		h.TakeOver = 2 * time.Second
	}
	defer func() {
		if t.Failed() {
			t.Logf("a journal must: %s", r.text)
		}
	}()
	r.test(&env{T: t, h: h, settle: settle, names: make(map[journal.Queue]int)})
}
