package backendtest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/record"
)

// pollEvery is between two looks at a record that expires.
const pollEvery = 5 * time.Millisecond

var ttlRules = []rule{
	{
		name: "value",
		text: "Get returns a value until its expiry and never after, to the millisecond, whatever the server's clock counts in",
		test: func(t *testing.T, e *env) {
			ttls := []time.Duration{300 * time.Millisecond, time.Second, 1700 * time.Millisecond}
			if p := e.Features.TTLPrecision; p > time.Millisecond {
				ttls = append(ttls, p/2, p+p/2)
			}
			for i, ttl := range ttls {
				t.Run(ttl.String(), func(t *testing.T) {
					t.Parallel()
					k, expiry := e.key(fmt.Sprint(i)), time.Now().Add(ttl)
					b := made(record.Value, record.NewToken(), expiry, []byte("body"))
					do(t, e.store, k, record.Step{Verb: record.Add, Record: b, TTL: ttl})
					livesUntil(t, e.store, k, expiry)
				})
			}
		},
	},
	{
		name: "swap",
		text: "a swap gives the record the TTL of the new one, longer or shorter",
		test: func(t *testing.T, e *env) {
			k := e.key("a")
			ttl := 300 * time.Millisecond
			b := made(record.Value, record.NewToken(), time.Now().Add(ttl), nil)
			do(t, e.store, k, record.Step{Verb: record.Add, Record: b, TTL: ttl})
			ttl = 1500 * time.Millisecond
			expiry := time.Now().Add(ttl)
			next := made(record.Value, record.NewToken(), expiry, nil)
			do(t, e.store, k, record.Step{Verb: record.Swap, Expect: record.TokenOf(b), Record: next, TTL: ttl})
			livesUntil(t, e.store, k, expiry)
		},
	},
	{
		name: "renew",
		text: "a renewed value lives as long as its new TTL says, longer than the old one",
		test: func(t *testing.T, e *env) {
			k, token := e.key("a"), record.NewToken()
			b := made(record.Value, token, time.Now().Add(700*time.Millisecond), nil)
			do(t, e.store, k, record.Step{Verb: record.Add, Record: b, TTL: 700 * time.Millisecond})
			expiry := time.Now().Add(2 * time.Second)
			if ok, err := e.store.Touch(contextOf(t), k, token, 2*time.Second); !ok || err != nil {
				t.Fatalf("Touch: %v, %v", ok, err)
			}
			livesAtLeast(t, e.store, k, expiry)
			ends(t, e.store, k, expiry.Add(tolerance))
		},
	},
	{
		name: "shortened",
		text: "a value that Touch gave a shorter TTL is not returned after it",
		test: func(t *testing.T, e *env) {
			k := e.key("a")
			b, token := value("body")
			add(t, e.store, k, b)
			if ok, err := e.store.Touch(contextOf(t), k, token, 300*time.Millisecond); !ok || err != nil {
				t.Fatalf("Touch: %v, %v", ok, err)
			}
			ends(t, e.store, k, time.Now().Add(300*time.Millisecond+tolerance))
		},
	},
	{
		name: "fence",
		text: "a fence keeps values out until its TTL is over, and not for ever",
		test: func(t *testing.T, e *env) {
			k, ttl := e.key("a"), 1200*time.Millisecond
			b, _ := value("body")
			expiry := time.Now().Add(ttl)
			do(t, e.store, k, record.Step{Verb: record.Place, Expect: record.NewToken(), TTL: ttl})
			keepsOut(t, e.store, k, b, expiry)
			eventually(t, "a value takes the place of a fence that expired", func() error {
				if f := write(t, e.store, k, record.Step{Verb: record.Add, Record: b, TTL: long}); f.Err != nil || f.Found != nil && !bytes.Equal(f.Found, b) {
					return fmt.Errorf("%s", show(f))
				}
				return nil
			})
			if end := expiry.Add(record.FenceSlack + tolerance + pause); time.Now().After(end) {
				t.Errorf("the fence lived until %v after its expiry", time.Since(expiry))
			}
			want(t, e.store, k, b)
		},
	},
	{
		name: "joined fence",
		text: "a writer that joins with a short TTL, a delete and a leave never shorten a fence",
		test: func(t *testing.T, e *env) {
			k, second := e.key("a"), record.NewToken()
			b, _ := value("body")
			expiry := time.Now().Add(2500 * time.Millisecond)
			do(t, e.store, k, record.Step{Verb: record.Place, Expect: record.NewToken(), TTL: 2500 * time.Millisecond})
			do(t, e.store, k, record.Step{Verb: record.Place, Expect: second, TTL: 50 * time.Millisecond})
			do(t, e.store, k, record.Step{Verb: record.Renew, Expect: second, TTL: 50 * time.Millisecond})
			do(t, e.store, k, record.Step{Verb: record.Leave, Expect: second})
			do(t, e.store, k, record.Step{Verb: record.Delete})
			keepsOut(t, e.store, k, b, expiry)
		},
	},
	{
		name: "extended fence",
		text: "a writer that joins with a long TTL, or renews, makes a fence last longer",
		test: func(t *testing.T, e *env) {
			b, _ := value("body")
			for name, verb := range map[string]record.Verb{"place": record.Place, "renew": record.Renew} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					k, writer := e.key(name), record.NewToken()
					do(t, e.store, k, record.Step{Verb: record.Place, Expect: writer, TTL: 300 * time.Millisecond})
					expiry := time.Now().Add(3 * time.Second)
					do(t, e.store, k, record.Step{Verb: verb, Expect: writer, TTL: 3 * time.Second})
					keepsOut(t, e.store, k, b, expiry)
				})
			}
		},
	},
}

// livesUntil checks that the record at k is returned until expiry and not after.
func livesUntil(t *testing.T, s *backend.Store, k string, expiry time.Time) {
	t.Helper()
	livesAtLeast(t, s, k, expiry)
	ends(t, s, k, expiry)
}

// livesAtLeast polls k until expiry. A miss counts only if it came before that.
func livesAtLeast(t *testing.T, s *backend.Store, k string, expiry time.Time) {
	t.Helper()
	expiry = expiry.Truncate(time.Millisecond)
	for {
		b := get(t, s, k)
		if now := time.Now(); !now.Before(expiry) {
			return
		} else if b == nil {
			t.Fatalf("gone %v before its expiry", expiry.Sub(now))
		}
		time.Sleep(pollEvery)
	}
}

// ends waits until expiry and checks that k is not returned from then on.
func ends(t *testing.T, s *backend.Store, k string, expiry time.Time) {
	t.Helper()
	time.Sleep(time.Until(expiry))
	for range 3 {
		if b := get(t, s, k); b != nil {
			t.Fatalf("returned %v after its expiry: %s", time.Since(expiry), describe(b))
		}
		time.Sleep(pollEvery)
	}
}

// keepsOut polls k with an Add until expiry. A success counts only if it came before that.
func keepsOut(t *testing.T, s *backend.Store, k string, b []byte, expiry time.Time) {
	t.Helper()
	expiry = expiry.Truncate(time.Millisecond)
	for time.Now().Before(expiry) {
		f := write(t, s, k, record.Step{Verb: record.Add, Record: b, TTL: long})
		if now := time.Now(); f.Found == nil && now.Before(expiry) {
			t.Fatalf("%v before its expiry the fence was not there: %s", expiry.Sub(now), show(f))
		} else if f.Found == nil {
			return
		}
		time.Sleep(4 * pollEvery)
	}
}
