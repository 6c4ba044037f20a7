package backendtest

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
)

// A Harness gives the suite a server.
type Harness struct {
	// Open opens a new Store on the server, always the same one. The suite closes it. It must succeed while the server
	// is down.
	Open func(t *testing.T) *backend.Store

	// Timeout is that of the stores that Open opens: how long a server may take to answer. Default 500 ms. For Run,
	// several seconds are wise, since a busy machine is not what it tests.
	Timeout time.Duration

	// Native returns a pointer that As has to fill. Nil: the backend has no native client.
	Native func() any

	Features Features

	// Hooks of a server that nobody else uses. All or none: without them the outage cases are skipped.
	Stop    func(t *testing.T) // ends the server; it may lose its data
	Restart func(t *testing.T) // starts it again at the same address, and waits until it answers
	Pause   func(t *testing.T) // stops it from answering, with its connections open (SIGSTOP)
	Resume  func(t *testing.T) // lets it answer again
}

// Features says what the backend claims. The suite tests that it does what it claims, and answers ErrUnsupported to
// what it does not.
type Features struct {
	Counter     bool
	Scanner     bool
	Statser     bool
	Identifier  bool
	RiderWriter bool

	// TTLPrecision is the unit in which the server counts TTLs, default 1 ms. What Store.Get returns is exact on all
	// backends: the suite writes TTLs that are no multiple of the unit.
	TTLPrecision time.Duration

	// MaxRecord is the length of the longest record, 0 for no limit.
	MaxRecord int
}

// A rule is one sentence of the contract.
type rule struct {
	name string
	text string // printed when the rule is broken
	test func(t *testing.T, e *env)
}

var groups = []struct {
	name  string
	rules []rule
}{
	{"get", getRules},
	{"verbs", verbRules},
	{"effects", effectRules},
	{"ttl", ttlRules},
	{"keys", keyRules},
	{"capability", capabilityRules},
	{"concurrency", concurrencyRules},
	{"context", contextRules},
	{"close", closeRules},
}

// Run runs all rules against the server of the harness, those of outages only if it has the hooks.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	h := newHarness(t).withDefaults()
	t.Run("shared", func(t *testing.T) { // ends when its parallel subtests have ended
		s := open(t, h)
		for _, g := range groups {
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				for _, r := range g.rules {
					t.Run(r.name, func(t *testing.T) {
						t.Parallel()
						r.run(t, h, s)
					})
				}
			})
		}
	})
	t.Run("outage", func(t *testing.T) {
		if !h.ownServer() {
			t.Skip("the harness cannot stop and pause its server: RunOutage tests outages")
		}
		runOutage(t, h)
	})
}

// RunOutage runs the rules of outages, one after another, against one server of its own.
func RunOutage(t *testing.T, newHarness func(t *testing.T) Harness) {
	h := newHarness(t).withDefaults()
	if !h.ownServer() {
		t.Fatal("backendtest: RunOutage: the harness needs Stop, Restart, Pause and Resume")
	}
	runOutage(t, h)
}

func runOutage(t *testing.T, h Harness) {
	for _, r := range outageRules {
		t.Run(r.name, func(t *testing.T) {
			s := open(t, h)
			awaitUp(t, s, h)
			r.run(t, h, s)
		})
	}
}

func (r rule) run(t *testing.T, h Harness, s *backend.Store) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the contract: %s", r.text)
		}
	})
	r.test(t, &env{Harness: h, store: s, own: ownPrefix(t)})
}

func (h Harness) withDefaults() Harness {
	if h.Timeout == 0 {
		h.Timeout = 500 * time.Millisecond
	}
	if h.Features.TTLPrecision == 0 {
		h.Features.TTLPrecision = time.Millisecond
	}
	return h
}

func (h Harness) ownServer() bool {
	return h.Stop != nil && h.Restart != nil && h.Pause != nil && h.Resume != nil
}
