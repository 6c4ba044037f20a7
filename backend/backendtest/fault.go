package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// many is how many keys a rule uses: enough for each server of a small cluster to own some.
const many = 16

// known are records that were stored before a fault.
type known struct {
	keys    []string
	records [][]byte
}

func (e *env) known(t *testing.T) *known {
	t.Helper()
	k := &known{}
	for i := range many {
		key := e.key(fmt.Sprint("known ", i))
		b, _ := value(key + rand.Text()) // so that no flipped bit makes it another's
		eventually(t, "a record is stored before the fault", func() error {
			f := write(t, e.store, key, record.Step{Verb: record.Add, Record: b, TTL: long})
			if f.Outcome == driver.Done || f.Outcome == driver.Refused && bytes.Equal(f.Found, b) {
				return nil
			}
			return fmt.Errorf("%s", show(f))
		})
		k.keys, k.records = append(k.keys, key), append(k.records, b)
	}
	return k
}

// check returns an error unless the result for key i is the record, or says that a server failed.
func (k *known) check(i int, r driver.Result) error {
	switch {
	case r.Err != nil && errors.Is(r.Err, backend.ErrUnavailable) && r.Record == nil:
		return nil
	case r.Err != nil:
		return fmt.Errorf("key %d: error %w, want ErrUnavailable", i, r.Err)
	case !bytes.Equal(r.Record, k.records[i]):
		return fmt.Errorf("key %d: %s, want %s", i, describe(r.Record), describe(k.records[i]))
	}
	return nil
}

// still checks that all records are as they were.
func (k *known) still(t *testing.T, s *backend.Store) {
	t.Helper()
	for i, key := range k.keys {
		eventually(t, "what was stored before can be read", func() error {
			r := s.Get(contextOf(t), key)[0]
			if err := k.check(i, r); err != nil {
				t.Fatal(err)
			}
			return r.Err
		})
	}
}

// find returns the record at key, though a busy machine may need another attempt.
func (e *env) find(t *testing.T, key string) (b []byte) {
	t.Helper()
	eventually(t, "a sound server answers", func() error {
		r := e.store.Get(contextOf(t), key)[0]
		b = r.Record
		return r.Err
	})
	return b
}

// round reads all keys at once, alone and in bulk, and returns how many reads were answered. Each answer has to be right and
// each failure one of a server, in time.
func (e *env) round(t *testing.T, k *known) (answered int) {
	t.Helper()
	var mu sync.Mutex // guards answered
	var reads sync.WaitGroup
	note := func(i int, r driver.Result) {
		if err := k.check(i, r); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if r.Err == nil {
			answered++
		}
	}
	within(t, 10*e.Timeout, "a round of reads", func() {
		for i, key := range k.keys {
			reads.Go(func() { note(i, e.store.Get(t.Context(), key)[0]) }) // ends with the call, waited for below
		}
		reads.Go(func() { // ends with the call, waited for below
			for i, r := range e.store.Get(t.Context(), k.keys...) {
				note(i, r)
			}
		})
		reads.Wait()
	})
	return answered
}

// recovered waits until the store serves all keys again, and logs how long that took since begin.
func (e *env) recovered(t *testing.T, fault string, begin time.Time) {
	t.Helper()
	attempt := 0
	e.recovery(t, "the store recovers by itself", func() error {
		attempt++
		for i := range many {
			if err := e.works(t, e.key(fmt.Sprint("recovery of ", fault, i, " ", attempt))); err != nil {
				return err
			}
		}
		return nil
	})
	e.logRecovery(t, fault, time.Since(begin))
}

// works writes a new record and reads it.
func (e *env) works(t *testing.T, key string) error {
	t.Helper()
	b, _ := value(key)
	f := write(t, e.store, key, record.Step{Verb: record.Add, Record: b, TTL: long})
	if f.Err != nil {
		return f.Err
	}
	if f.Outcome != driver.Done {
		t.Fatalf("Add at a new key: %s", show(f))
	}
	r := e.store.Get(contextOf(t), key)[0]
	if r.Err == nil && !bytes.Equal(r.Record, b) {
		t.Fatalf("after recovery: %s, want %s", describe(r.Record), describe(b))
	}
	return r.Err
}

// lasting are faults under which no call can succeed.
var lasting = []string{
	"hang", "black-hole-to", "black-hole-from", "slow-drip", "refused", "reset-in-reply", "garbage",
}

func lastingRules() []rule {
	var rules []rule
	for _, fault := range lasting {
		rules = append(rules, rule{
			name: fault,
			text: "while it lasts every call is ErrUnavailable within the timeout and names the server; none is a miss, nothing is " +
				"known to be done, and what was reported as unsent never happens; then the store recovers by itself",
			test: func(t *testing.T, e *env) { e.lasts(t, fault) },
		})
	}
	return rules
}

func (e *env) lasts(t *testing.T, fault string) {
	e.network(t)
	e.openDeep(t, e.Open)
	k := e.known(t)
	heal := e.play(t, fault)

	const adds = 8
	var outcomes [adds]driver.Effect
	var records [adds][]byte
	var calls sync.WaitGroup
	for _, c := range e.calls() {
		calls.Go(func() { e.failsWell(t, c) }) // ends with the call, waited for below; so do all that follow
	}
	for i, key := range k.keys {
		calls.Go(func() {
			if r := e.store.Get(t.Context(), key)[0]; r.Err == nil {
				t.Errorf("key %d: %s, and no server can answer", i, describe(r.Record))
			}
		})
	}
	for i := range adds {
		records[i], _ = value("during")
		calls.Go(func() {
			step := record.Step{Verb: record.Add, Record: records[i], TTL: long}
			outcomes[i] = e.store.Write(t.Context(), driver.Op{Key: e.key(fmt.Sprint("add ", i)), Step: step})[0]
		})
	}
	calls.Wait()

	begin := time.Now()
	heal()
	e.recovered(t, fault, begin)
	k.still(t, e.store)
	for i, f := range outcomes {
		if f.Outcome == driver.Done || f.Outcome == driver.Refused {
			t.Errorf("add %d: %s, and no server can answer", i, show(f))
		}
		b := e.find(t, e.key(fmt.Sprint("add ", i)))
		switch {
		case b != nil && f.Outcome == driver.Unsent:
			t.Errorf("add %d was reported as unsent, and is there: %v", i, f.Err)
		case b != nil && !bytes.Equal(b, records[i]):
			t.Errorf("add %d: %s, want %s", i, describe(b), describe(records[i]))
		}
	}
}

// failsWell makes a call that has to fail as one does whose server does not answer.
func (e *env) failsWell(t *testing.T, c call) {
	within(t, 10*e.Timeout, c.name, func() {
		f, err := c.run(t.Context(), e.store, e.key(c.name))
		switch {
		case !errors.Is(err, backend.ErrUnavailable):
			t.Errorf("%s: error %v, want ErrUnavailable", c.name, err)
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
			t.Errorf("%s: error %v is a context's, and no context ended", c.name, err)
		case !e.namesServer(err):
			t.Errorf("%s: error %q names none of the servers %q", c.name, err, e.depth.Servers)
		}
		if f.Outcome == driver.Done || f.Outcome == driver.Refused {
			t.Errorf("%s: outcome %v", c.name, f.Outcome)
		}
	})
}

func (e *env) namesServer(err error) bool {
	for _, s := range e.depth.Servers {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return len(e.depth.Servers) == 0
}

var passingRules = []rule{
	passing("cut"),
	passing("half-open-server"),
	passing("half-open-client"),
	{
		name: "reset-after-some",
		text: "connections that are reset in the middle of replies, again and again, cost errors and never a wrong answer or a miss",
		test: func(t *testing.T, e *env) { e.disturbed(t, "reset-after-some") },
	},
	{
		name: "byte-flips",
		text: "a reply with wrong bits is an error, nothing, or a record under its own key whose body may be damaged: that is what " +
			"the codec's checksum refuses. It is never another key's record. Afterwards every record is whole, or gone where the client " +
			"took a damaged greeting for a server that lost its data",
		test: func(t *testing.T, e *env) { e.flipped(t) },
	},
	{
		name: "one-server",
		text: "while one server of several hangs no answer is wrong and no record is missed, and the others' keys recover by themselves",
		test: func(t *testing.T, e *env) {
			n := e.network(t)
			if n.Servers() < 2 {
				t.Skip("there is one server only")
			}
			for i := range n.Servers() {
				e.openDeep(t, e.Open)
				k := e.known(t)
				heal := e.play(t, "hang", i)
				answered := 0
				const rounds = 2
				for range rounds {
					answered += e.round(t, k)
				}
				t.Logf("server %d hung: %d of %d reads were answered", i, answered, rounds*2*many)
				begin := time.Now()
				heal()
				e.recovered(t, "one-server", begin)
				k.still(t, e.store)
				e.own = ownPrefix(t)
			}
		},
	},
}

// passing makes the rule of a fault that happens once.
func passing(fault string) rule {
	return rule{
		name: fault,
		text: "what happens to connections once costs some calls, each ErrUnavailable in time, and no answer is wrong or a miss; " +
			"the store recovers by itself",
		test: func(t *testing.T, e *env) {
			e.network(t)
			e.openDeep(t, e.Open)
			k := e.known(t)
			e.round(t, k) // opens connections
			begin := time.Now()
			e.play(t, fault)
			e.recovery(t, "all reads are answered", func() error {
				if n := e.round(t, k); n < 2*many {
					return fmt.Errorf("%d of %d reads were answered", n, 2*many)
				}
				return nil
			})
			e.recovered(t, fault, begin)
			k.still(t, e.store)
		},
	}
}

// disturbed reads under a fault that lets some calls succeed.
func (e *env) disturbed(t *testing.T, fault string) {
	e.network(t)
	e.openDeep(t, e.Open)
	k := e.known(t)
	heal := e.play(t, fault)
	e.forAWhile(func() { e.round(t, k) })
	begin := time.Now()
	heal()
	e.recovered(t, fault, begin)
	k.still(t, e.store)
}

// forAWhile runs f forty times, or fewer where each waits for the timeout.
func (e *env) forAWhile(f func()) {
	begin := time.Now()
	for range 40 {
		f()
		if time.Since(begin) > 5*e.Timeout {
			return
		}
	}
}

func (e *env) flipped(t *testing.T) {
	e.network(t)
	e.openDeep(t, e.Open)
	k := e.known(t)
	bodies := map[string]int{}
	for i, b := range k.records {
		bodies[string(b[record.HeaderLen:])] = i
	}
	heal := e.play(t, "byte-flips")
	var asked, failed, damaged int
	e.forAWhile(func() {
		var mu sync.Mutex // guards the counts
		var reads sync.WaitGroup
		for i, key := range k.keys {
			reads.Go(func() { // ends with the call, waited for below
				r := e.store.Get(t.Context(), key)[0]
				mu.Lock()
				defer mu.Unlock()
				asked++
				if r.Err != nil {
					failed++
					if !errors.Is(r.Err, backend.ErrUnavailable) {
						t.Errorf("key %d: error %v, want ErrUnavailable", i, r.Err)
					}
					return
				}
				if r.Record == nil || bytes.Equal(r.Record, k.records[i]) {
					return
				}
				damaged++
				_, body, _ := record.Parse(r.Record)
				if j, ok := bodies[string(body)]; ok && j != i {
					t.Errorf("key %d: the record of key %d", i, j)
				}
			})
		}
		reads.Wait()
	})
	t.Logf("of %d reads %d failed, and %d gave a damaged record, for a checksum to refuse", asked, failed, damaged)
	begin := time.Now()
	heal()
	e.recovered(t, "byte-flips", begin)
	gone := 0
	for i, key := range k.keys {
		switch b := e.find(t, key); {
		case b == nil:
			gone++
		case !bytes.Equal(b, k.records[i]):
			t.Errorf("afterwards key %d: %s, want %s", i, describe(b), describe(k.records[i]))
		}
	}
	t.Logf("afterwards %d of %d records were gone", gone, many)
}
