package backendtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A mutant is one way to be wrong, and the rule that has to see it.
type mutant struct {
	rule string

	get   func([]driver.Result)
	key   func(string) string
	write func(*client, driver.Op) driver.Effect
	count func(c *client, key string, delta int64, ttl time.Duration) (int64, error)
	scan  func(c *client, prefix string, yield func([]string) bool) error

	misses, deaf, patient, deadline, sendsLater, neverCloses, needsServer bool
}

// passOn writes op as it is.
func passOn(c *client, op driver.Op) driver.Effect { return c.server.store.Write(remote(), op)[0] }

// verbAs makes one verb behave like another step.
func verbAs(v record.Verb, change func(c *client, op *driver.Op)) func(*client, driver.Op) driver.Effect {
	return func(c *client, op driver.Op) driver.Effect {
		if op.Verb == v {
			change(c, &op)
		}
		return passOn(c, op)
	}
}

// vanish removes whatever is at key, as no server may.
func vanish(c *client, key string) {
	if b := c.server.store.Get(remote(), key)[0].Record; b != nil {
		passOn(c, driver.Op{Key: key, Step: record.Step{Verb: record.Remove, Expect: record.TokenOf(b)}})
	}
}

var mutants = map[string]mutant{
	"answers in another order":    {rule: "get/order", get: slices.Reverse[[]driver.Result]},
	"loses empty bodies":          {rule: "get/bodies", get: loseEmpty},
	"adds over what is there":     {rule: "verbs/add/my_value", write: verbAs(record.Add, func(c *client, op *driver.Op) { vanish(c, op.Key) })},
	"swaps whatever is there":     {rule: "verbs/swap/another_value", write: verbAs(record.Swap, anyToken)},
	"deletes fences":              {rule: "verbs/delete_during_a_write", write: verbAs(record.Delete, func(c *client, op *driver.Op) { vanish(c, op.Key) })},
	"places over fences":          {rule: "verbs/two_writers", write: verbAs(record.Place, func(c *client, op *driver.Op) { vanish(c, op.Key) })},
	"renews by another token":     {rule: "verbs/random_history", write: verbAs(record.Renew, anyToken)},
	"finds nothing when refused":  {rule: "effects/refused", write: findNothing},
	"ends records too early":      {rule: "ttl/value", write: endEarly},
	"renews the header alone":     {rule: "ttl/renew", write: renewHeader},
	"folds case":                  {rule: "keys/case", key: strings.ToLower},
	"cuts keys off":               {rule: "keys/any_bytes", key: func(k string) string { return k[:min(len(k), 120)] }},
	"swaps in two steps":          {rule: "concurrency/swap", write: twoSteps},
	"counts in two steps":         {rule: "concurrency/counter", count: twoCounts},
	"lists other prefixes":        {rule: "capability/scan", scan: listMore},
	"lists only the first keys":   {rule: "capability/scan", scan: listLess},
	"does not listen to contexts": {rule: "context/cancelled_before", deaf: true},
	"works after Close":           {rule: "close/after", neverCloses: true},
	"misses in an outage":         {rule: "outage/stopped", misses: true},
	"waits too long":              {rule: "outage/paused", patient: true},
	"blames a context":            {rule: "outage/paused", deadline: true},
	"waits for its own timeout":   {rule: "outage/cancellation", deaf: true},
	"writes later after all":      {rule: "outage/unsent", sendsLater: true},
	"opens only what is up":       {rule: "outage/opened_while_down", needsServer: true},
}

func loseEmpty(results []driver.Result) {
	for i, r := range results {
		if len(r.Record) == record.HeaderLen {
			results[i].Record = nil
		}
	}
}

func anyToken(c *client, op *driver.Op) {
	if b := c.server.store.Get(remote(), op.Key)[0].Record; b != nil {
		op.Expect = record.TokenOf(b)
	}
}

func findNothing(c *client, op driver.Op) driver.Effect {
	e := passOn(c, op)
	e.Found = nil
	return e
}

// endEarly truncates to whole seconds, as a server does that counts in them.
func endEarly(c *client, op driver.Op) driver.Effect {
	if op.Verb == record.Add && op.TTL < time.Minute {
		h, body, _ := record.Parse(op.Record)
		h.Expiry = h.Expiry.Add(op.TTL.Truncate(time.Second) - op.TTL)
		op.Record = record.New(h, body)
	}
	return passOn(c, op)
}

// renewHeader leaves the server's own TTL as it was: the record goes when that ends.
func renewHeader(c *client, op driver.Op) driver.Effect {
	if op.Verb != record.Renew {
		return passOn(c, op)
	}
	b := c.server.store.Get(remote(), op.Key)[0].Record
	h, _, _ := record.Parse(b)
	e := passOn(c, op)
	if e.Outcome == driver.Done && time.Until(h.Expiry) < time.Minute {
		c.late.Go(func() { // ends at the expiry or with the client; joined by Close
			select {
			case <-c.closed:
			case <-time.After(time.Until(h.Expiry)):
				vanish(c, op.Key)
			}
		})
	}
	return e
}

// twoSteps compares, and then swaps whatever is there.
func twoSteps(c *client, op driver.Op) driver.Effect {
	if op.Verb != record.Swap {
		return passOn(c, op)
	}
	b := c.server.store.Get(remote(), op.Key)[0].Record
	if record.TokenOf(b) != op.Expect {
		return driver.Effect{Outcome: driver.Refused, Found: b}
	}
	time.Sleep(time.Millisecond) // for others to come in between
	for {
		anyToken(c, &op)
		if e := passOn(c, op); e.Outcome == driver.Done {
			return e
		}
	}
}

// twoCounts reads, and then writes the sum.
func twoCounts(c *client, key string, delta int64, ttl time.Duration) (int64, error) {
	n, err := c.server.store.Count(remote(), key, 0, ttl)
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Millisecond) // for others to come in between
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.server.store.Count(remote(), key, 0, ttl)
	if err != nil {
		return 0, err
	}
	return c.server.store.Count(remote(), key, n+delta-now, ttl)
}

func listMore(c *client, prefix string, yield func([]string) bool) error {
	return c.server.store.Scan(remote(), prefix[:max(0, len(prefix)-1)], yield)
}

func listLess(c *client, prefix string, yield func([]string) bool) error {
	return c.server.store.Scan(remote(), prefix, func(keys []string) bool { return yield(keys[:(len(keys)+1)/2]) })
}

func TestAGoodBackendPasses(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backendtest.Harness { return harness(t, mutant{}) })
}

const mutantVariable = "STRATA_BACKENDTEST_MUTANT"

// TestMutant runs the suite on the mutant that the environment names. It is for TestEachMutantIsSeen alone.
func TestMutant(t *testing.T) {
	m, ok := mutants[os.Getenv(mutantVariable)]
	if !ok {
		t.Skip("runs in a process of TestEachMutantIsSeen only")
	}
	h := func(t *testing.T) backendtest.Harness { return harness(t, m) }
	if strings.HasPrefix(m.rule, "outage/") {
		t.Run("outage", func(t *testing.T) { backendtest.RunOutage(t, h) })
		return
	}
	backendtest.Run(t, h)
}

func TestEachMutantIsSeen(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "shared/" + m.rule
			if strings.HasPrefix(m.rule, "outage/") {
				path = m.rule
			}
			mustFail(t, name, "TestMutant", path)
		})
	}
}

// mustFail runs a test of this binary on the mutant of that name, and expects the subtest at path to fail.
func mustFail(t *testing.T, name, test, path string) {
	t.Helper()
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$/"+strings.Join(parts, "/"), "-test.v")
	cmd.Env = append(os.Environ(), mutantVariable+"="+name)
	out, err := cmd.CombinedOutput()
	if failed := fmt.Sprintf("--- FAIL: %s/%s", test, path); err == nil || !strings.Contains(string(out), failed) {
		t.Errorf("the rule %s did not fail: %v\n%s", path, err, out)
	}
	if !strings.Contains(string(out), "the contract: ") {
		t.Errorf("the sentence of the rule was not printed:\n%s", out)
	}
}
