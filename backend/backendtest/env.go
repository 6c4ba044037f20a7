package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

const (
	long     = time.Hour        // a TTL that does not end during a test
	patience = 30 * time.Second // for what happens soon on a healthy server
)

// An env is what a rule works with.
type env struct {
	Harness
	store *backend.Store // on the server, up when the rule begins; shared by rules
	own   string

	depth *Depth  // in RunDepth, as mark
	mark  *marker // of what the rule begins
}

// ownPrefix returns a beginning of keys that no other test uses, not even of another run on the same server.
func ownPrefix(t *testing.T) string { return t.Name() + "/" + rand.Text()[:10] + "/" }

func (e *env) key(name string) string { return e.own + name }

func open(t *testing.T, h Harness) *backend.Store {
	t.Helper()
	s := h.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// write applies one op.
func write(t *testing.T, s *backend.Store, key string, step record.Step) driver.Effect {
	t.Helper()
	effects := s.Write(contextOf(t), driver.Op{Key: key, Step: step})
	if len(effects) != 1 {
		t.Fatalf("Write of one op: %d effects", len(effects))
	}
	return effects[0]
}

// do applies one op that has to be done.
func do(t *testing.T, s *backend.Store, key string, step record.Step) {
	t.Helper()
	if e := write(t, s, key, step); e.Outcome != driver.Done || e.Err != nil {
		t.Fatalf("%v at %q: %s, want done", step.Verb, short(key), show(e))
	}
}

// refused applies one op that has to be refused, and returns what was found.
func refused(t *testing.T, s *backend.Store, key string, step record.Step) []byte {
	t.Helper()
	e := write(t, s, key, step)
	if e.Outcome != driver.Refused || e.Err != nil {
		t.Fatalf("%v at %q: %s, want refused", step.Verb, short(key), show(e))
	}
	return e.Found
}

// get returns the record at key.
func get(t *testing.T, s *backend.Store, key string) []byte {
	t.Helper()
	results := s.Get(contextOf(t), key)
	if len(results) != 1 {
		t.Fatalf("Get of one key: %d results", len(results))
	}
	if results[0].Err != nil {
		t.Fatalf("Get %q: %v", short(key), results[0].Err)
	}
	return results[0].Record
}

// want checks that key holds b, nil for nothing.
func want(t *testing.T, s *backend.Store, key string, b []byte) {
	t.Helper()
	if got := get(t, s, key); !bytes.Equal(got, b) || (got == nil) != (b == nil) {
		t.Fatalf("at %q: %s, want %s", short(key), describe(got), describe(b))
	}
}

// add puts b at key, where nothing may be.
func add(t *testing.T, s *backend.Store, key string, b []byte) {
	t.Helper()
	do(t, s, key, record.Step{Verb: record.Add, Record: b, TTL: long})
}

// value returns a new record with body, and its token.
func value(body string) ([]byte, record.Token) {
	token := record.NewToken()
	return made(record.Value, token, time.Now().Add(long), []byte(body)), token
}

func made(k record.Kind, token record.Token, expiry time.Time, body []byte) []byte {
	return record.New(record.Header{Kind: k, Token: token, Expiry: expiry}, body)
}

// fenceOf returns a fence with the header token and writers.
func fenceOf(token record.Token, writers ...record.Token) []byte {
	var body []byte
	for _, w := range writers {
		body = append(body, w[:]...)
	}
	return made(record.Fence, token, time.Now().Add(long), body)
}

func place(writer record.Token) record.Step {
	return record.Step{Verb: record.Place, Expect: writer, TTL: long}
}

func swap(expect record.Token, b []byte) record.Step {
	return record.Step{Verb: record.Swap, Expect: expect, Record: b, TTL: long}
}

// awaitUp waits until the server answers.
func awaitUp(t *testing.T, s *backend.Store, h Harness) {
	t.Helper()
	eventually(t, "the server answers", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*h.Timeout)
		defer cancel()
		return s.Ping(ctx)
	})
}

// eventually polls until f returns nil, and fails after patience.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	poll(t, 10*time.Millisecond, patience, what, f)
}

func poll(t *testing.T, every, patience time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s: %v", patience, what, err)
		}
		time.Sleep(every) // between polls
	}
}

// within runs f and fails if it takes longer than limit.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	begin := time.Now()
	go func() { // ends with f, which is waited for unless the test fails
		defer close(done)
		f()
	}()
	select {
	case <-done:
		if took := time.Since(begin); took > limit {
			t.Errorf("%s took %v, at most %v is allowed", what, took, limit)
		}
	case <-time.After(limit + patience):
		stacks := make([]byte, 1<<20) // why, in the only moment at which it can be seen
		t.Fatalf("%s did not return in %v, at most %v is allowed\n%s", what, limit+patience, limit, stacks[:runtime.Stack(stacks, true)])
	}
}

func show(e driver.Effect) string {
	return fmt.Sprintf("%v, found %s, error %v", e.Outcome, describe(e.Found), e.Err)
}

func describe(b []byte) string {
	if b == nil {
		return "nothing"
	}
	h, body, ok := record.Parse(b)
	if !ok {
		return fmt.Sprintf("%d bytes that are no record: %q", len(b), b)
	}
	if len(body) > 64 {
		return fmt.Sprintf("%v v%d flags %d token %.8s expiry %v body of %d bytes", h.Kind, h.Version, h.Flags, h.Token, h.Expiry.Format(time.TimeOnly+".000"), len(body))
	}
	return fmt.Sprintf("%v v%d flags %d token %.8s expiry %v body %q", h.Kind, h.Version, h.Flags, h.Token, h.Expiry.Format(time.TimeOnly+".000"), body)
}

func short(key string) string {
	if len(key) > 100 {
		return key[:60] + "…" + key[len(key)-20:]
	}
	return key
}
