package backendtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

const crowd = 64

// rally runs f from crowd goroutines at once and waits for all.
func rally(f func(i int)) { rallyOf(crowd, f) }

// rallyOf runs f from n goroutines at once and waits for all.
func rallyOf(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() { // ends with f, waited for below
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

var concurrencyRules = []rule{
	{
		name: "add",
		text: "of many concurrent adds at one key exactly one is done, and the others find its record",
		test: func(t *testing.T, e *env) {
			storm(t, e, e.key("a"), func(b []byte) record.Step {
				return record.Step{Verb: record.Add, Record: b, TTL: long}
			})
		},
	},
	{
		name: "swap",
		text: "of many concurrent swaps of one token exactly one is done, and the others find its record",
		test: func(t *testing.T, e *env) {
			b, token := value("first")
			add(t, e.store, e.key("a"), b)
			for range 5 {
				winner := storm(t, e, e.key("a"), func(b []byte) record.Step { return swap(token, b) })
				token = record.TokenOf(winner)
			}
		},
	},
	{
		name: "lost updates",
		text: "read, then swap by the token read, loses no update",
		test: func(t *testing.T, e *env) {
			const each = 4
			first, _ := value(string(binary.BigEndian.AppendUint64(nil, 0)))
			add(t, e.store, e.key("a"), first)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			const writers = 16
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() { // ends with its updates or ctx, waited for below
					for range each {
						if err := increment(ctx, e.store, e.key("a")); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			_, body, _ := record.Parse(get(t, e.store, e.key("a")))
			if n := binary.BigEndian.Uint64(body); n != writers*each {
				t.Errorf("the sum is %d, want %d", n, writers*each)
			}
		},
	},
	{
		name: "fence",
		text: "of many writers that join a fence at once none is lost, and none stores",
		test: func(t *testing.T, e *env) {
			k := e.key("a")
			var writers [crowd]record.Token
			var effects [crowd]driver.Effect
			for i := range writers {
				writers[i] = record.NewToken()
			}
			rally(func(i int) {
				effects[i] = e.store.Write(contextOf(t), driver.Op{Key: k, Step: place(writers[i])})[0]
			})
			_, body, _ := record.Parse(get(t, e.store, k))
			in := 0
			for i, f := range effects {
				there := false
				for at := 0; at+16 <= len(body); at += 16 {
					there = there || record.Token(body[at:at+16]) == writers[i]
				}
				switch {
				case f.Outcome == driver.Done && !there:
					t.Errorf("writer %d was done and is not in the fence", i)
				case f.Outcome == driver.Done:
					in++
				case f.Outcome == driver.Refused, !errors.Is(f.Err, backend.ErrUnavailable):
					t.Errorf("writer %d: %s", i, show(f))
				case f.Outcome == driver.Unsent && there:
					t.Errorf("writer %d was unsent and is in the fence", i)
				}
			}
			if in < crowd/2 {
				t.Errorf("only %d of %d writers were done", in, crowd)
			}
			next, _ := value("next")
			rally(func(i int) {
				step := swap(writers[i], next)
				if f := e.store.Write(contextOf(t), driver.Op{Key: k, Step: step})[0]; f.Outcome == driver.Done {
					t.Errorf("writer %d stored a value over a fence that others hold", i)
				}
			})
		},
	},
	{
		name: "counter",
		text: "the sum of a counter is the sum of all counts",
		test: func(t *testing.T, e *env) {
			if !e.Features.Counter {
				t.Skip("has no counters, which the capability rule counter tests")
			}
			const each = 4
			var mu sync.Mutex
			var failed int64
			seen := map[int64]bool{} // guarded by mu, as failed
			rally(func(i int) {
				for range each {
					n, err := e.store.Count(contextOf(t), e.key("a"), 1, long)
					mu.Lock()
					if err != nil {
						failed++
						if !errors.Is(err, backend.ErrUnavailable) {
							t.Errorf("Count: %v", err)
						}
					} else if seen[n] {
						t.Errorf("Count returned %d twice", n)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
			sum, err := e.store.Count(contextOf(t), e.key("a"), 0, long)
			if err != nil || sum > crowd*each || sum < crowd*each-failed {
				t.Errorf("the sum is %d, %v; want %d, of which %d failed", sum, err, crowd*each, failed)
			}
			if failed > crowd*each/2 {
				t.Errorf("%d of %d counts failed", failed, crowd*each)
			}
		},
	},
	{
		name: "answers",
		text: "concurrent callers each get the answer to their own question",
		test: func(t *testing.T, e *env) {
			records := make([][]byte, crowd)
			for i := range records {
				records[i], _ = value(fmt.Sprint("body ", i))
				add(t, e.store, e.key(fmt.Sprint(i)), records[i])
			}
			rally(func(i int) {
				for n := range 8 {
					j := (i + n) % crowd
					got := e.store.Get(contextOf(t), e.key(fmt.Sprint(i)), e.key("none"), e.key(fmt.Sprint(j)))
					if got[0].Err != nil || got[1].Err != nil || got[2].Err != nil {
						t.Errorf("Get: %v, %v, %v", got[0].Err, got[1].Err, got[2].Err)
						return
					}
					if !bytes.Equal(got[0].Record, records[i]) || got[1].Record != nil || !bytes.Equal(got[2].Record, records[j]) {
						t.Errorf("caller %d was given %s, %s, %s", i, describe(got[0].Record), describe(got[1].Record), describe(got[2].Record))
					}
				}
			})
		},
	},
}

// storm sends one step for each member of the crowd, checks that one is done, and returns its record.
func storm(t *testing.T, e *env, k string, step func(b []byte) record.Step) []byte {
	t.Helper()
	var records [crowd][]byte
	var effects [crowd]driver.Effect
	for i := range records {
		records[i], _ = value(fmt.Sprint("body ", i))
	}
	rally(func(i int) {
		effects[i] = e.store.Write(contextOf(t), driver.Op{Key: k, Step: step(records[i])})[0]
	})
	winner := -1
	for i, f := range effects {
		if f.Outcome == driver.Done {
			if winner >= 0 {
				t.Fatalf("%d and %d were both done", winner, i)
			}
			winner = i
		}
	}
	if winner < 0 {
		t.Fatalf("none was done: %s", show(effects[0]))
	}
	for i, f := range effects {
		if i != winner && (f.Outcome != driver.Refused || f.Err != nil || !bytes.Equal(f.Found, records[winner])) {
			t.Errorf("loser %d: %s, want refused, found %s", i, show(f), describe(records[winner]))
		}
	}
	want(t, e.store, k, records[winner])
	return records[winner]
}

// increment adds one to the number at k, by as many swaps as it takes.
func increment(ctx context.Context, s *backend.Store, k string) error {
	for ctx.Err() == nil {
		r := s.Get(ctx, k)[0]
		if r.Err != nil {
			return r.Err
		}
		h, body, ok := record.Parse(r.Record)
		if !ok {
			return fmt.Errorf("at the number: %s", describe(r.Record))
		}
		next := made(record.Value, record.NewToken(), time.Now().Add(long), binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(body)+1))
		switch f := s.Write(ctx, driver.Op{Key: k, Step: swap(h.Token, next)})[0]; f.Outcome {
		case driver.Done:
			return nil
		case driver.Refused, driver.Unsent:
		default:
			return fmt.Errorf("swap: %s", show(f))
		}
	}
	return ctx.Err()
}
