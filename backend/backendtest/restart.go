package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var restartRules = []rule{
	{
		name: "restart",
		text: "across a restart of all servers no answer is wrong; what they kept is served if the backend says so, and nothing of it " +
			"otherwise; a token of what is gone swaps nothing; the store recovers by itself",
		test: func(t *testing.T, e *env) {
			if len(e.depth.Restarts) == 0 {
				t.Skip("the harness cannot restart its servers")
			}
			for _, r := range e.depth.Restarts {
				t.Run(r.Name, func(t *testing.T) {
					own := *e
					own.own = ownPrefix(t)
					own.openDeep(t, e.Open)
					own.restarted(t, r)
				})
			}
		},
	},
	{
		name: "dns-change",
		text: "when the name of the servers resolves to other addresses, and nobody answers at the old ones, the store finds them by " +
			"itself, and no answer is wrong or a miss meanwhile",
		test: func(t *testing.T, e *env) {
			if e.depth.Move == nil {
				t.Skip("the harness cannot change what the servers' name resolves to")
			}
			e.openDeep(t, e.depth.Move.Open)
			k := e.known(t)
			e.round(t, k)
			begin := time.Now()
			e.mark.apart(func() { e.depth.Move.Do(t) })
			e.recovery(t, "all reads are answered", func() error {
				if n := e.round(t, k); n < 2*many {
					return fmt.Errorf("%d of %d reads were answered", n, 2*many)
				}
				return nil
			})
			e.recovered(t, "dns-change", begin)
			k.still(t, e.store)
		},
	},
}

func (e *env) restarted(t *testing.T, r Restart) {
	k := e.known(t)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { // ends at stop, waited for below
			for {
				for i, key := range k.keys {
					select {
					case <-stop:
						return
					default:
					}
					got := e.store.Get(t.Context(), key)[0]
					if gone := got.Err == nil && got.Record == nil; gone && !r.Keeps {
						continue
					}
					if err := k.check(i, got); err != nil {
						t.Errorf("across the restart: %v", err)
						return
					}
				}
			}
		})
	}
	e.mark.apart(func() { r.Do(t) })
	begin := time.Now()
	e.recovered(t, "restart-"+r.Name, begin)
	close(stop)
	readers.Wait()
	if r.Keeps {
		k.still(t, e.store)
		return
	}
	for i, key := range k.keys {
		if b := e.find(t, key); b != nil {
			t.Errorf("after the restart there is %s", describe(b))
		}
		next, _ := value("next")
		eventually(t, "a sound server answers", func() error {
			f := write(t, e.store, key, swap(record.TokenOf(k.records[i]), next))
			if f.Err == nil && (f.Outcome != driver.Refused || f.Found != nil) {
				t.Fatalf("swap by the token of what is gone: %s, want refused by nothing", show(f))
			}
			return f.Err
		})
	}
}

const defaultAlloc = 64 << 20

var lieRules = []rule{
	{
		name: "lies",
		text: "a reply that cannot be true (a length that nobody may send, a record cut short, an endless line) is ErrUnavailable, " +
			"never a record or a miss; the client does not allocate what the reply announces; the store recovers by itself",
		test: func(t *testing.T, e *env) {
			if len(e.depth.Lies) == 0 {
				t.Skip("the harness has no lies")
			}
			for _, lie := range e.depth.Lies {
				t.Run(lie.Name, func(t *testing.T) {
					own := *e
					own.own = ownPrefix(t)
					own.openDeep(t, e.Open)
					own.liedTo(t, lie)
				})
			}
		},
	},
	{
		name: "another-key",
		text: "the answer to another question, though from the right server and whole, is ErrUnavailable and never a record",
		test: func(t *testing.T, e *env) {
			if !e.depth.NamesKeys {
				t.Skip("replies of this protocol name neither key nor request: another key's value is what codec/encryption refuses")
			}
			n := e.network(t)
			e.openDeep(t, e.Open)
			k := e.known(t)
			heal := e.healing(t)
			for i := range 4 {
				j := i + 1
				var tape tape
				n.Rewrite(tape.rewrite)
				eventually(t, "the reply is on the tape", func() error { return e.store.Get(contextOf(t), k.keys[j])[0].Err })
				tape.play()
				if r := e.store.Get(t.Context(), k.keys[i])[0]; r.Err == nil {
					t.Errorf("key %d was answered with the reply for key %d: %s", i, j, describe(r.Record))
				} else if !errors.Is(r.Err, backend.ErrUnavailable) {
					t.Errorf("key %d: error %v, want ErrUnavailable", i, r.Err)
				}
				if err := n.Heal(); err != nil {
					t.Fatal(err)
				}
				e.recovery(t, "the store recovers by itself", func() error { return e.works(t, e.key("after "+record.NewToken().String())) })
			}
			heal()
			k.still(t, e.store)
		},
	},
	{
		name: "answered-twice",
		text: "an answer that comes twice is given to one call only: reads are right or ErrUnavailable, and afterwards no connection is " +
			"one answer behind",
		test: func(t *testing.T, e *env) {
			n := e.network(t)
			e.openDeep(t, e.Open)
			k := e.known(t)
			heal := e.healing(t)
			n.Rewrite(twice)
			e.forAWhile(func() { e.round(t, k) })
			begin := time.Now()
			heal()
			for i, key := range k.keys {
				b, _ := value("over what is there")
				f := e.store.Write(contextOf(t), driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
				if f.Outcome == driver.Done || f.Outcome == driver.Refused && !bytes.Equal(f.Found, k.records[i]) {
					t.Errorf("Add over what is there: %s", show(f))
				}
			}
			e.recovered(t, "answered-twice", begin)
			k.still(t, e.store)
		},
	},
}

// twice sends all that a server says two times.
func twice(int) func([]byte) []byte {
	return func(reply []byte) []byte { return append(bytes.Clone(reply), reply...) }
}

// A tape records what servers send, and then sends that in place of anything else.
type tape struct {
	mu      sync.Mutex
	bytes   []byte // guarded by mu, as playing
	playing bool
}

func (r *tape) rewrite(int) func([]byte) []byte {
	return func(reply []byte) []byte {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.playing {
			return bytes.Clone(r.bytes)
		}
		r.bytes = append(r.bytes, reply...)
		return reply
	}
}

func (r *tape) play() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.playing = true
}

func (e *env) liedTo(t *testing.T, lie Lie) {
	n := e.network(t)
	k := e.known(t)
	heal := e.healing(t)
	limit := lie.Alloc
	if limit == 0 {
		limit = defaultAlloc
	}
	before := allocated()
	n.Rewrite(lie.Rewrite)
	within(t, 10*e.Timeout, "reads of lies", func() {
		var reads sync.WaitGroup
		for i, key := range k.keys[:4] {
			reads.Go(func() { // ends with the call, waited for below
				r := e.store.Get(t.Context(), key)[0]
				if r.Err == nil {
					t.Errorf("key %d: %s, want an error", i, describe(r.Record))
				} else if !errors.Is(r.Err, backend.ErrUnavailable) {
					t.Errorf("key %d: error %v, want ErrUnavailable", i, r.Err)
				}
			})
		}
		reads.Wait()
		b, _ := value("lied to")
		f := e.store.Write(t.Context(), driver.Op{Key: e.key("write"), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
		if f.Outcome == driver.Done || f.Outcome == driver.Refused {
			t.Errorf("Add: %s, want an error", show(f))
		}
	})
	if got := allocated() - before; got > limit {
		t.Errorf("%d bytes were allocated, and %d are allowed", got, limit)
	}
	begin := time.Now()
	heal()
	e.recovered(t, "lie-"+lie.Name, begin)
	k.still(t, e.store)
}
