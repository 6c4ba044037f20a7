package backendtest_test

import (
	"os"
	"testing"

	"github.com/strata-cache/strata/backend/backendtest"
)

var flaws = map[string]flaw{
	"misses in a hang":             {rule: "fault/hang", misses: true},
	"misses after a cut":           {rule: "fault/cut", misses: true},
	"blames a context":             {rule: "fault/black-hole-from", blames: true},
	"waits too long":               {rule: "fault/slow-drip", patient: true},
	"names no server":              {rule: "fault/refused", nameless: true},
	"does not recover":             {rule: "fault/reset-in-reply", sticky: true},
	"does not recover from a cut":  {rule: "fault/half-open-client", sticky: true},
	"reads damaged keys":           {rule: "fault/byte-flips", mixes: true},
	"crosses answers":              {rule: "fault/half-open-server", crossed: true},
	"leaves connections open":      {rule: "fault/garbage", leaksConns: true},
	"believes another key's reply": {rule: "lie/another-key", believes: true},
	"is one answer behind":         {rule: "lie/answered-twice", behind: true},
	"takes nonsense for a miss":    {rule: "lie/lies/nonsense", believes: true},
	"allocates what is announced":  {rule: "lie/lies/nonsense", swallows: true},
	"opens too many connections":   {rule: "crowd/pool-exhaustion", greedy: true},
	"crosses answers in a crowd":   {rule: "crowd/thousand", crossed: true},
	"leaves goroutines behind":     {rule: "crowd/cancellation-storm", leaksGoroutines: true},
	"serves what is gone":          {rule: "restart/restart/without-data", keepsData: true},
	"asks for the address once":    {rule: "restart/dns-change", neverMoves: true},
	"tells a password":             {rule: "rejection/rejections/wrong-password", tells: true},
	"does not say why":             {rule: "rejection/rejections/wrong-password", silent: true},
	"works without a password":     {rule: "rejection/rejections/wrong-password", polite: true},
}

// Not parallel, as RunDepth must not be.
func TestAGoodBackendPassesInDepth(t *testing.T) {
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth { return deep(t, flaw{}) })
}

// TestFlaw runs the suite in depth on the flaw that the environment names. It is for TestEachFlawIsSeen alone.
func TestFlaw(t *testing.T) {
	f, ok := flaws[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs in a process of TestEachFlawIsSeen only")
	}
	backendtest.RunDepth(t, func(t *testing.T) backendtest.Depth { return deep(t, f) })
}

func TestEachFlawIsSeen(t *testing.T) {
	t.Parallel()
	for name, f := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustFail(t, name, "TestFlaw", f.rule)
		})
	}
}
