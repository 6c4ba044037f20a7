package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

const thousand = 1000

var crowdRules = []rule{
	{
		name: "pool-exhaustion",
		text: "more callers than connections wait for one; those who wait in vain get ErrUnavailable within the timeout, never a " +
			"miss; there are no more connections than allowed, and afterwards the store serves all",
		test: func(t *testing.T, e *env) {
			if e.depth.OpenSmall == nil {
				t.Skip("the harness has no store of few connections")
			}
			n := e.network(t)
			e.openDeep(t, e.depth.OpenSmall)
			k := e.known(t)
			ask := func(i int) error {
				r := e.store.Get(t.Context(), k.keys[i%many])[0]
				if err := k.check(i%many, r); err != nil {
					t.Error(err)
				}
				return r.Err
			}
			late := e.play(t, "few-ms-each-packet")
			e.recovery(t, "a sound server serves most", func() error { // a busy machine may need another attempt
				var mu sync.Mutex
				answered, open := 0, 0 // guarded by mu
				rallyOf(200, func(i int) {
					err := ask(i)
					mu.Lock()
					defer mu.Unlock()
					open = max(open, n.Open())
					if err == nil {
						answered++
					}
				})
				if open > e.depth.Connections {
					t.Fatalf("%d connections were open, and %d are allowed", open, e.depth.Connections)
				}
				if answered < 100 {
					return fmt.Errorf("%d of 200 callers were served", answered)
				}
				return nil
			})
			late()
			heal := e.play(t, "hang")
			within(t, 10*e.Timeout, "200 calls on few connections that hang", func() {
				rallyOf(200, func(i int) {
					err := ask(i)
					if err == nil {
						t.Error("a call was answered, and no server can answer")
					} else if !e.namesServer(err) {
						t.Errorf("error %q names none of the servers %q", err, e.depth.Servers)
					}
				})
			})
			begin := time.Now()
			heal()
			e.recovered(t, "pool-exhaustion", begin)
			k.still(t, e.store)
			e.recovery(t, "there are no more connections than allowed", func() error {
				if open := n.Open(); open > e.depth.Connections {
					return fmt.Errorf("%d are open, and %d are allowed", open, e.depth.Connections)
				}
				return nil
			})
		},
	},
	{
		name: "thousand",
		text: "a thousand goroutines get right answers or ErrUnavailable, also while connections are cut",
		test: func(t *testing.T, e *env) {
			n, opener := e.network(t), e.Open
			if e.depth.OpenPatient != nil {
				opener = e.depth.OpenPatient
			}
			e.openDeep(t, opener)
			attempt := 0
			e.recovery(t, "a sound server serves most", func() error { // a busy machine may need another attempt
				attempt++
				if served := e.thousand(t, attempt); served < thousand/2 {
					return fmt.Errorf("%d of %d goroutines were served", served, thousand)
				}
				return nil
			})
			stop := make(chan struct{})
			var cutter sync.WaitGroup
			cutter.Go(func() { // ends at stop, waited for below
				for {
					select {
					case <-stop:
						return
					case <-time.After(e.Timeout / 4):
						n.Play("cut")
					}
				}
			})
			t.Logf("while connections were cut, %d of %d goroutines were served", e.thousand(t, 0), thousand)
			close(stop)
			cutter.Wait()
			begin := time.Now()
			e.recovered(t, "thousand-goroutines", begin)
		},
	},
	{
		name: "cancellation-storm",
		text: "after a thousand calls that are cancelled at random moments no goroutine and no connection is left over, and no answer " +
			"went to the wrong call",
		test: func(t *testing.T, e *env) {
			e.network(t)
			e.openDeep(t, e.Open)
			k := e.known(t)
			rally(func(i int) { e.store.Get(t.Context(), k.keys[i%many]) }) // opens connections
			usual := e.roundTrip(t, k)
			before, _ := e.mark.count()
			heal := e.play(t, "few-ms-each-packet")
			const waves = 10
			for range waves {
				rallyOf(thousand/waves, func(i int) { e.cancelled(t, k, i, 2*usual+4*time.Millisecond) })
			}
			heal()
			begin := time.Now()
			e.recovered(t, "cancellation-storm", begin)
			k.still(t, e.store)
			// Some clients have goroutines for each connection.
			e.recovery(t, "the goroutines of cancelled calls end", func() error {
				if after, stacks := e.mark.count(); after > before+thousand/10 {
					return fmt.Errorf("there were %d goroutines, now there are %d:\n%s", before, after, stacks)
				}
				return nil
			})
		},
	},
}

// thousand returns how many of a thousand goroutines were served.
func (e *env) thousand(t *testing.T, attempt int) int {
	var served atomic.Int64
	rallyOf(thousand, func(i int) {
		switch err := e.ownAndOther(t, attempt, i); {
		case err == nil:
			served.Add(1)
		case !errors.Is(err, backend.ErrUnavailable):
			t.Errorf("goroutine %d: %v", i, err)
		}
	})
	return int(served.Load())
}

// ownAndOther adds a record, and reads it and that of a neighbour.
func (e *env) ownAndOther(t *testing.T, attempt, i int) error {
	name := func(i int) string { return e.key(fmt.Sprint(attempt, " ", i)) }
	b, token := value(name(i))
	f := e.store.Write(t.Context(), driver.Op{Key: name(i), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
	if f.Outcome == driver.Refused && record.TokenOf(f.Found) != token {
		t.Errorf("goroutine %d: nobody else writes, and: %s", i, show(f))
	}
	results := e.store.Get(t.Context(), name(i), name((i+1)%thousand))
	for j, r := range results {
		switch {
		case r.Err != nil:
			return r.Err
		case r.Record == nil && (j > 0 || f.Outcome != driver.Done):
		case r.Record == nil:
			t.Errorf("goroutine %d: its record is missing", i)
		default:
			if _, body, _ := record.Parse(r.Record); string(body) != name((i+j)%thousand) {
				t.Errorf("goroutine %d: %s, want that of %d", i, describe(r.Record), i+j)
			}
		}
	}
	return f.Err
}

// roundTrip returns how long a read takes here.
func (e *env) roundTrip(t *testing.T, k *known) time.Duration {
	begin := time.Now()
	for _, key := range k.keys {
		if r := e.store.Get(contextOf(t), key)[0]; r.Err != nil {
			t.Fatalf("Get: %v", r.Err)
		}
	}
	return time.Since(begin) / many
}

// cancelled makes a call whose context ends at a random moment in the next most.
func (e *env) cancelled(t *testing.T, k *known, i int, most time.Duration) {
	after := rand.N(most)
	ctx, cancel := context.WithCancel(t.Context())
	if i%3 == 0 {
		ctx, cancel = context.WithTimeout(t.Context(), after)
	} else {
		timer := time.AfterFunc(after, cancel)
		defer timer.Stop()
	}
	defer cancel()
	ended := func(err error) bool {
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, backend.ErrUnavailable)
	}
	switch i % 4 {
	case 0:
		b, token := value("storm")
		f := e.store.Write(ctx, driver.Op{Key: e.key(token.String()), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
		if f.Outcome == driver.Refused || f.Err != nil && !ended(f.Err) {
			t.Errorf("Add at a new key: %s", show(f))
		}
	case 1:
		from := rand.IntN(many)
		for j, r := range e.store.Get(ctx, k.keys[from:]...) {
			if r.Err == nil && !bytes.Equal(r.Record, k.records[from+j]) || r.Err != nil && !ended(r.Err) {
				t.Errorf("bulk Get, key %d: %s, %v", from+j, describe(r.Record), r.Err)
			}
		}
	default:
		j := rand.IntN(many)
		r := e.store.Get(ctx, k.keys[j])[0]
		if r.Err == nil && !bytes.Equal(r.Record, k.records[j]) || r.Err != nil && !ended(r.Err) {
			t.Errorf("Get, key %d: %s, %v", j, describe(r.Record), r.Err)
		}
	}
}
