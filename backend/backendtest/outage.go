package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var outageRules = []rule{
	{
		name: "stopped",
		text: "a server that is down is ErrUnavailable within the timeout, never a miss, and nothing is done",
		test: func(t *testing.T, e *env) {
			e.stop(t)
			e.eachCall(t, func(t *testing.T, c call, key string) { e.unavailable(t, c, key) })
		},
	},
	{
		name: "opened while down",
		text: "Open succeeds while the server is down, calls are ErrUnavailable, and the Store works when the server is up",
		test: func(t *testing.T, e *env) {
			restart := e.stop(t)
			begin := time.Now()
			s := open(t, e.Harness)
			if took := time.Since(begin); took > 10*e.Timeout {
				t.Errorf("Open took %v, at most %v is allowed", took, 10*e.Timeout)
			}
			e.eachCall(t, func(t *testing.T, c call, key string) {
				down := *e
				down.store = s
				down.unavailable(t, c, key)
			})
			restart()
			recovers(t, s, e, e.key("a"))
		},
	},
	{
		name: "closed while down",
		text: "a Store that was opened while the server is down can be closed",
		test: func(t *testing.T, e *env) {
			e.stop(t)
			s := e.Open(t)
			within(t, 10*e.Timeout, "Close", func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			if err := s.Ping(contextOf(t)); !errors.Is(err, backend.ErrClosed) {
				t.Errorf("Ping: %v, want ErrClosed", err)
			}
		},
	},
	{
		name: "restart",
		text: "a Store recovers by itself when its server was restarted",
		test: func(t *testing.T, e *env) {
			for i := range 2 {
				b, _ := value("b")
				eventually(t, "a write before", func() error {
					return e.store.Write(contextOf(t), driver.Op{Key: e.key(fmt.Sprint("before ", i)), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0].Err
				})
				restart := e.stop(t)
				if r := e.store.Get(contextOf(t), e.key("a"))[0]; !errors.Is(r.Err, backend.ErrUnavailable) {
					t.Errorf("Get: %s, %v, want ErrUnavailable", describe(r.Record), r.Err)
				}
				restart()
				recovers(t, e.store, e, e.key(fmt.Sprint("after ", i)))
			}
		},
	},
	{
		name: "paused",
		text: "a server that does not answer is ErrUnavailable within the timeout, never a miss, and nothing is known to be done",
		test: func(t *testing.T, e *env) {
			resume := e.pause(t)
			e.eachCall(t, func(t *testing.T, c call, key string) { e.unavailable(t, c, key) })
			resume()
			recovers(t, e.store, e, e.key("after"))
		},
	},
	{
		name: "deadline",
		text: "a deadline ends a call in the middle of its round trip, with the context's own error",
		test: func(t *testing.T, e *env) {
			e.interrupted(t, context.DeadlineExceeded, func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, after)
			})
		},
	},
	{
		name: "cancellation",
		text: "a cancellation ends a call in the middle of its round trip, with the context's own error",
		test: func(t *testing.T, e *env) {
			e.interrupted(t, context.Canceled, func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				timer := time.AfterFunc(after, cancel)
				return ctx, func() { timer.Stop(); cancel() }
			})
		},
	},
	{
		name: "crowd",
		text: "calls that wait for a server that does not answer do not wait for each other",
		test: func(t *testing.T, e *env) {
			e.pause(t)
			within(t, 10*e.Timeout, fmt.Sprintf("%d concurrent Gets", crowd), func() {
				rally(func(i int) {
					r := e.store.Get(contextOf(t), e.key(fmt.Sprint(i)))[0]
					if !errors.Is(r.Err, backend.ErrUnavailable) {
						t.Errorf("Get: %s, %v, want ErrUnavailable", describe(r.Record), r.Err)
					}
				})
			})
		},
	},
	{
		name: "unsent",
		text: "what was reported as unsent never happens, also when the server answers again",
		test: func(t *testing.T, e *env) {
			resume := e.pause(t)
			const n = 8
			var outcomes [n]driver.Outcome
			for i := range n {
				b, _ := value("b")
				ctx, cancel := context.WithTimeout(t.Context(), e.Timeout/10)
				outcomes[i] = e.store.Write(ctx, driver.Op{Key: e.key(fmt.Sprint(i)), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0].Outcome
				cancel()
			}
			resume()
			recovers(t, e.store, e, e.key("after"))
			for end := time.Now().Add(2 * e.Timeout); time.Now().Before(end); time.Sleep(e.Timeout / 10) {
				for i, o := range outcomes {
					if o == driver.Unsent {
						want(t, e.store, e.key(fmt.Sprint(i)), nil)
					} else if o != driver.Unknown {
						t.Fatalf("a write to a server that does not answer: %v", o)
					}
				}
			}
		},
	},
	{
		name: "sent once",
		text: "an op is sent at most once: no add is refused by its own first attempt",
		test: func(t *testing.T, e *env) {
			for i, delay := range []time.Duration{e.Timeout / 2, 3 * e.Timeout / 2, 3 * e.Timeout} {
				b, token := value("b")
				resume := e.pause(t)
				timer := time.AfterFunc(delay, func() { resume() })
				f := e.store.Write(contextOf(t), driver.Op{Key: e.key(fmt.Sprint(i)), Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
				if timer.Stop() {
					resume()
				}
				if f.Outcome == driver.Refused {
					t.Errorf("nobody else wrote, and resumed after %v: %s; the record is its own: %v", delay, show(f), record.TokenOf(f.Found) == token)
				}
				if f.Outcome == driver.Done {
					want(t, e.store, e.key(fmt.Sprint(i)), b)
				}
				recovers(t, e.store, e, e.key(fmt.Sprint("after ", i)))
			}
		},
	},
	{
		name: "late answers",
		text: "an answer that comes after its caller has gone is given to nobody else",
		test: func(t *testing.T, e *env) {
			const n = 8
			var records [n][]byte
			for i := range records {
				records[i], _ = value(fmt.Sprint("body ", i))
				add(t, e.store, e.key(fmt.Sprint(i)), records[i])
			}
			for range 3 {
				resume := e.pause(t)
				for i := range n {
					ctx, cancel := context.WithTimeout(t.Context(), e.Timeout/20)
					if r := e.store.Get(ctx, e.key(fmt.Sprint(i)))[0]; r.Err == nil {
						t.Errorf("Get from a paused server: %s", describe(r.Record))
					}
					cancel()
				}
				resume()
				for i := range 10 * n {
					k := i % n
					if r := e.store.Get(contextOf(t), e.key(fmt.Sprint(k)))[0]; r.Err == nil && !bytes.Equal(r.Record, records[k]) {
						t.Fatalf("key %d: %s", k, describe(r.Record))
					}
				}
				recovers(t, e.store, e, e.key("after "+record.NewToken().String()))
				for i := range n {
					want(t, e.store, e.key(fmt.Sprint(i)), records[i])
				}
			}
		},
	},
	{
		name: "closed while paused",
		text: "Close ends calls that wait for a server that does not answer",
		test: func(t *testing.T, e *env) {
			s := open(t, e.Harness)
			awaitUp(t, s, e.Harness)
			e.pause(t)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() { // ends with the call, waited for below
					r := s.Get(contextOf(t), e.key(fmt.Sprint(i)))[0]
					if !errors.Is(r.Err, backend.ErrClosed) && !errors.Is(r.Err, backend.ErrUnavailable) {
						t.Errorf("Get: %s, %v", describe(r.Record), r.Err)
					}
				})
			}
			time.Sleep(e.Timeout / 10) // most are on their way; any order is legal
			within(t, 10*e.Timeout, "Close", func() {
				s.Close()
				wg.Wait()
			})
		},
	},
}

// unavailable makes a call without a deadline of its own.
func (e *env) unavailable(t *testing.T, c call, key string) {
	t.Helper()
	within(t, 10*e.Timeout, c.name, func() {
		f, err := c.run(t.Context(), e.store, key)
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("error %v is a context's, and no context ended", err)
		}
		if f.Outcome == driver.Done || f.Outcome == driver.Refused {
			t.Errorf("outcome %v", f.Outcome)
		}
	})
}

// interrupted makes each call to a paused server with a context that ends in its middle, long before the Store's own
// timeout.
func (e *env) interrupted(t *testing.T, wanted error, ending func(context.Context, time.Duration) (context.Context, context.CancelFunc)) {
	resume := e.pause(t)
	after := e.Timeout / 10
	e.eachCall(t, func(t *testing.T, c call, key string) {
		var took time.Duration
		for range 3 { // a busy machine makes one call late; one that waits for its own timeout is late each time
			began := time.Now()
			within(t, patience, c.name, func() {
				ctx, cancel := ending(t.Context(), after)
				defer cancel()
				f, err := c.run(ctx, e.store, key)
				if !errors.Is(err, wanted) {
					t.Errorf("error %v, want %v", err, wanted)
				}
				if errors.Is(err, backend.ErrUnavailable) {
					t.Errorf("error %v blames the server, and the context ended", err)
				}
				if f.Outcome == driver.Done || f.Outcome == driver.Refused {
					t.Errorf("outcome %v", f.Outcome)
				}
			})
			if took = time.Since(began); took < e.Timeout*9/10 {
				return
			}
		}
		t.Errorf("%s took %v after its context had ended at %v", c.name, took, after)
	})
	resume()
	recovers(t, e.store, e, e.key("after"))
}

// stop stops the server. It runs again when the rule ends, or when the function returned is called.
func (e *env) stop(t *testing.T) (restart func()) {
	t.Helper()
	e.Stop(t)
	restart = sync.OnceFunc(func() { e.Restart(t) })
	t.Cleanup(restart)
	return restart
}

// pause pauses the server until the rule ends, or the function returned is called.
func (e *env) pause(t *testing.T) (resume func()) {
	t.Helper()
	e.Pause(t)
	resume = sync.OnceFunc(func() { e.Resume(t) })
	t.Cleanup(resume)
	return resume
}

// recovers waits until a Store whose server is back writes and reads again.
func recovers(t *testing.T, s *backend.Store, e *env, key string) {
	t.Helper()
	awaitUp(t, s, e.Harness)
	b, token := value("b")
	eventually(t, "a value can be written", func() error {
		f := s.Write(contextOf(t), driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: long}})[0]
		if f.Outcome == driver.Done || f.Outcome == driver.Refused && record.TokenOf(f.Found) == token {
			return nil
		}
		return fmt.Errorf("%s", show(f))
	})
	eventually(t, "a value can be read", func() error {
		r := s.Get(contextOf(t), key)[0]
		if r.Err == nil && !bytes.Equal(r.Record, b) {
			t.Fatalf("after recovery: %s, want %s", describe(r.Record), describe(b))
		}
		return r.Err
	})
}
