package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var effectRules = []rule{
	{
		name: "refused",
		text: "a refused step changes nothing, and carries the record that was there, or nil for none",
		test: func(t *testing.T, e *env) {
			b, _ := value("there")
			next, _ := value("next")
			if found := refused(t, e.store, e.key("none"), swap(record.NewToken(), next)); found != nil {
				t.Errorf("swap of nothing: found %s, want nothing", describe(found))
			}
			add(t, e.store, e.key("a"), b)
			for _, step := range []record.Step{
				{Verb: record.Add, Record: next, TTL: long},
				swap(record.NewToken(), next),
				{Verb: record.Remove, Expect: record.NewToken()},
				{Verb: record.Renew, Expect: record.NewToken(), TTL: long},
			} {
				if found := refused(t, e.store, e.key("a"), step); !bytes.Equal(found, b) {
					t.Errorf("%v: found %s, want %s", step.Verb, describe(found), describe(b))
				}
			}
			want(t, e.store, e.key("a"), b)
			want(t, e.store, e.key("none"), nil)
		},
	},
	{
		name: "in order",
		text: "ops of one Write at one key are applied in their order, each sees the one before",
		test: func(t *testing.T, e *env) {
			k, writer := e.key("a"), record.NewToken()
			a, ta := value("a")
			b, _ := value("b")
			c, _ := value("c")
			ops := []driver.Op{
				{Key: k, Step: record.Step{Verb: record.Add, Record: a, TTL: long}},
				{Key: e.key("between"), Step: record.Step{Verb: record.Add, Record: c, TTL: long}},
				{Key: k, Step: swap(ta, b)},
				{Key: k, Step: swap(ta, a)}, // refused
				{Key: k, Step: place(writer)},
				{Key: k, Step: swap(writer, c)},
			}
			wanted := []driver.Outcome{driver.Done, driver.Done, driver.Done, driver.Refused, driver.Done, driver.Done}
			for i, effect := range e.store.Write(contextOf(t), ops...) {
				if effect.Outcome != wanted[i] || effect.Err != nil {
					t.Errorf("op %d, %v: %s, want %v", i, ops[i].Verb, show(effect), wanted[i])
				}
				if i == 3 && !bytes.Equal(effect.Found, b) {
					t.Errorf("op 3: found %s, want what op 2 wrote", describe(effect.Found))
				}
			}
			want(t, e.store, k, c)
		},
	},
	{
		name: "partial failure",
		text: "an op that cannot be sent is unsent with a reason, and stops no other op of the same Write",
		test: func(t *testing.T, e *env) {
			b, token := value("b")
			good := func(name string) driver.Op {
				return driver.Op{Key: e.key(name), Step: record.Step{Verb: record.Add, Record: b, TTL: long}}
			}
			bad := []driver.Op{
				{Key: e.key("bad 0"), Step: record.Step{Verb: record.Add, Record: b}}, // no TTL
				{Key: e.key("bad 1"), Step: record.Step{Verb: record.Add, Record: b[:record.HeaderLen-1], TTL: long}},
				{Key: e.key("bad 2"), Step: record.Step{Verb: record.Place, TTL: long}}, // zero token
				{Key: e.key("bad 3"), Step: record.Step{Verb: record.Swap, Expect: token, Record: b, TTL: -time.Second}},
				{Key: e.key("bad 4"), Step: record.Step{Verb: 99, Expect: token, TTL: long}},
				{Key: e.key("bad 5"), Step: record.Step{Verb: record.Remove}},
			}
			var ops []driver.Op
			for i, op := range bad {
				ops = append(ops, good(fmt.Sprint("good ", i)), op)
			}
			for i, effect := range e.store.Write(contextOf(t), ops...) {
				switch {
				case i%2 == 0 && (effect.Outcome != driver.Done || effect.Err != nil):
					t.Errorf("good op %d: %s", i/2, show(effect))
				case i%2 == 1 && (effect.Outcome != driver.Unsent || effect.Err == nil):
					t.Errorf("bad op %d: %s, want unsent with a reason", i/2, show(effect))
				}
			}
			for i := range bad {
				want(t, e.store, e.key(fmt.Sprint("good ", i)), b)
				want(t, e.store, e.key(fmt.Sprint("bad ", i)), nil)
			}
		},
	},
	{
		name: "too large",
		text: "a record longer than MaxRecord is ErrTooLarge and unsent, what was there stays, and MaxRecord itself fits",
		test: func(t *testing.T, e *env) {
			limit := e.Features.MaxRecord
			if got, ok := e.store.MaxRecord(); ok != (limit > 0) || got != limit {
				t.Fatalf("MaxRecord is %d, %v; the harness says %d", got, ok, limit)
			}
			if limit == 0 || limit > 64<<20 {
				return // nothing that a test can reach
			}
			old, token := value("old")
			good, _ := value("good")
			add(t, e.store, e.key("a"), old)
			big := made(record.Value, record.NewToken(), time.Now().Add(long), make([]byte, limit-record.HeaderLen+1))
			effects := e.store.Write(contextOf(t),
				driver.Op{Key: e.key("a"), Step: swap(token, big)},
				driver.Op{Key: e.key("b"), Step: record.Step{Verb: record.Add, Record: good, TTL: long}})
			if effects[0].Outcome != driver.Unsent || !errors.Is(effects[0].Err, backend.ErrTooLarge) {
				t.Errorf("%d bytes: %s, want unsent, ErrTooLarge", len(big), show(effects[0]))
			}
			if effects[1].Outcome != driver.Done {
				t.Errorf("the op beside it: %s", show(effects[1]))
			}
			want(t, e.store, e.key("a"), old)
			fits := big[:limit]
			do(t, e.store, e.key("a"), swap(token, fits))
			want(t, e.store, e.key("a"), fits)
		},
	},
	{
		name: "touch",
		text: "Touch finds the value by its token only, and changes nothing but its expiry",
		test: func(t *testing.T, e *env) {
			b, token := value("body")
			add(t, e.store, e.key("a"), b)
			if ok, err := e.store.Touch(contextOf(t), e.key("a"), record.NewToken(), 2*long); ok || err != nil {
				t.Errorf("Touch by another token: %v, %v", ok, err)
			}
			want(t, e.store, e.key("a"), b)
			if ok, err := e.store.Touch(contextOf(t), e.key("none"), token, 2*long); ok || err != nil {
				t.Errorf("Touch of nothing: %v, %v", ok, err)
			}
			if ok, err := e.store.Touch(contextOf(t), e.key("a"), token, 2*long); !ok || err != nil {
				t.Fatalf("Touch: %v, %v", ok, err)
			}
			wanted := made(record.Value, token, time.Now().Add(2*long), []byte("body"))
			if err := same(get(t, e.store, e.key("a")), wanted); err != nil {
				t.Errorf("after Touch: %v", err)
			}
			if ok, err := e.store.Touch(contextOf(t), e.key("a"), token, 0); ok || err == nil {
				t.Errorf("Touch with a TTL of 0: %v, %v, want an error", ok, err)
			}
		},
	},
}
