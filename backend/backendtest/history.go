package backendtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var seed = flag.Uint64("backendtest.seed", 0, "seed of the random history; 0: another each time")

const (
	historySteps = 600
	historyKeys  = 4
	historyBatch = 8 // ops of one Write, at most
)

// A history draws steps that often hit: tokens come from what its keys hold and held.
type history struct {
	*rand.Rand
	model  [historyKeys][]byte
	tokens []record.Token
}

// testHistory applies random batches to the server and to a model, and compares effects and records.
func testHistory(t *testing.T, e *env) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -backendtest.seed=%d", s)
		}
	})
	h := &history{Rand: rand.New(rand.NewPCG(s, 1))}
	for range 3 {
		h.tokens = append(h.tokens, h.token())
	}
	keys := make([]string, historyKeys)
	for i := range keys {
		keys[i] = e.key(fmt.Sprint(i))
	}
	for n := 0; n < historySteps; {
		batch := 1 + h.IntN(historyBatch)
		at := make([]int, batch)
		ops := make([]driver.Op, batch)
		for i := range ops {
			at[i] = h.IntN(historyKeys)
			ops[i] = driver.Op{Key: keys[at[i]], Step: h.step(at[i])}
			n++
		}
		before := time.Now()
		for i, effect := range e.store.Write(contextOf(t), ops...) {
			next, done := record.Apply(h.model[at[i]], ops[i].Step, before)
			if (effect.Outcome == driver.Done) != done || (effect.Outcome == driver.Refused) == done || effect.Err != nil {
				t.Fatalf("step %d, %v at %s: %s; record.Apply says done: %v", n, ops[i].Verb, describe(h.model[at[i]]), show(effect), done)
			}
			if !done {
				if err := same(effect.Found, next); err != nil {
					t.Fatalf("step %d, %v refused: %v: found %s, want %s", n, ops[i].Verb, err, describe(effect.Found), describe(next))
				}
			}
			h.model[at[i]] = next
		}
		for i, r := range e.store.Get(contextOf(t), keys...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if err := same(r.Record, h.model[i]); err != nil {
				t.Fatalf("after step %d, key %d: %v: %s, want %s", n, i, err, describe(r.Record), describe(h.model[i]))
			}
			h.model[i] = r.Record // with the server's expiry
		}
	}
}

func (h *history) step(key int) record.Step {
	s := record.Step{
		Verb:   record.Add + record.Verb(h.IntN(int(record.Renew))),
		Expect: h.expect(key),
		Fresh:  h.token(),
		TTL:    time.Duration(1+h.IntN(20)) * time.Minute,
	}
	if s.Verb == record.Add || s.Verb == record.Swap {
		body := make([]byte, h.IntN(40))
		for i := range body {
			body[i] = byte(h.Uint32())
		}
		kind := record.Value
		if h.IntN(4) == 0 {
			kind = record.Lease
		}
		token := h.token()
		h.tokens = append(h.tokens, token)
		s.Record = made(kind, token, time.Now().Add(s.TTL), body)
	}
	return s
}

// expect draws the token of what is there, of a few writers, or of long ago.
func (h *history) expect(key int) record.Token {
	if b := h.model[key]; b != nil && h.IntN(2) == 0 {
		return record.TokenOf(b)
	}
	if h.IntN(2) == 0 {
		return h.tokens[h.IntN(3)]
	}
	return h.tokens[h.IntN(len(h.tokens))]
}

func (h *history) token() record.Token {
	var t record.Token
	for i := range t {
		t[i] = byte(h.Uint32())
	}
	return t
}
