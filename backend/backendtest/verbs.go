package backendtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// The tokens of the table: mine is what every step expects, other is somebody else's.
type parties struct{ mine, other, third, fresh record.Token }

// A state is what a key holds before a step.
type state struct {
	name string
	make func(p parties) []byte
	// The outcome of each verb, in the order of the constants: add swap remove place leave delete renew; d is done, r refused.
	outcomes string
}

var states = []state{
	{"nothing", func(parties) []byte { return nil }, "d r r d d d r"},
	{"my value", func(p parties) []byte { return stateOf(record.Value, p.mine, long, "body") }, "r d d d d d d"},
	{"another value", func(p parties) []byte { return stateOf(record.Value, p.other, long, "body") }, "r r r d d d r"},
	{"an empty value of mine", func(p parties) []byte { return stateOf(record.Value, p.mine, long, "") }, "r d d d d d d"},
	{"my lease", func(p parties) []byte { return stateOf(record.Lease, p.mine, long, "") }, "r d d d d d d"},
	{"another lease", func(p parties) []byte { return stateOf(record.Lease, p.other, long, "") }, "r r r d d d r"},
	{"my fence", func(p parties) []byte { return fenceOf(p.mine, p.mine) }, "r d d d d d d"},
	{"another fence", func(p parties) []byte { return fenceOf(p.other, p.other) }, "r r r d d d r"},
	{"a fence that I joined", func(p parties) []byte { return fenceOf(p.third, p.other, p.mine) }, "r r r d d d d"},
	{"my fence, dirty", func(p parties) []byte { return fenceOf(p.third, p.mine) }, "r r r d d d d"},
	{"a fence of two others", func(p parties) []byte { return fenceOf(p.third, p.other, p.third) }, "r r r d d d r"},
	{"my expired value", func(p parties) []byte { return stateOf(record.Value, p.mine, -time.Minute, "body") }, "d r r d d d r"},
	{"my expired lease", func(p parties) []byte { return stateOf(record.Lease, p.mine, -time.Minute, "") }, "d r r d d d r"},
	{"my expired fence", func(p parties) []byte { return stateOf(record.Fence, p.mine, -time.Minute, string(p.mine[:])) }, "d r r d d d r"},
	{"my value of a later version", func(p parties) []byte {
		b := stateOf(record.Value, p.mine, long, "body")
		b[0] = record.Version + 1
		return b
	}, "r d d d d d d"},
	{"my record of a later kind", func(p parties) []byte { return stateOf(record.Fence+9, p.mine, long, "body") }, "r d d d d d d"},
}

func stateOf(k record.Kind, token record.Token, ttl time.Duration, body string) []byte {
	return made(k, token, time.Now().Add(ttl), []byte(body))
}

var verbRules = append(tableRules(), []rule{
	{
		name: "random history",
		text: "a random history of steps at several keys has the effects and leaves the records that record.Apply says",
		test: testHistory,
	},
	{
		name: "two writers",
		text: "of two writers that fenced a key, neither stores a value, and the fence ends when both have left",
		test: func(t *testing.T, e *env) {
			k, a, b := e.key("a"), record.NewToken(), record.NewToken()
			do(t, e.store, k, place(a))
			do(t, e.store, k, place(b))
			next, _ := value("next")
			refused(t, e.store, k, swap(a, next))
			refused(t, e.store, k, swap(b, next))
			do(t, e.store, k, record.Step{Verb: record.Leave, Expect: a})
			refused(t, e.store, k, swap(b, next)) // still dirty
			refused(t, e.store, k, record.Step{Verb: record.Add, Record: next, TTL: long})
			do(t, e.store, k, record.Step{Verb: record.Leave, Expect: b})
			want(t, e.store, k, nil)
			add(t, e.store, k, next)
		},
	},
	{
		name: "lone writer",
		text: "a writer that was alone replaces its fence by its value",
		test: func(t *testing.T, e *env) {
			k, a := e.key("a"), record.NewToken()
			old, _ := value("old")
			add(t, e.store, k, old)
			do(t, e.store, k, place(a))
			if got := get(t, e.store, k); record.TokenOf(got) != a || record.Kind(got[1]) != record.Fence {
				t.Fatalf("after place: %s, want a fence of %v", describe(got), a)
			}
			next, _ := value("next")
			do(t, e.store, k, swap(a, next))
			want(t, e.store, k, next)
			refused(t, e.store, k, swap(a, old)) // a token is used once
		},
	},
	{
		name: "delete during a write",
		text: "a delete of a fenced key spares the fence and keeps its writer from storing",
		test: func(t *testing.T, e *env) {
			k, a := e.key("a"), record.NewToken()
			do(t, e.store, k, place(a))
			do(t, e.store, k, record.Step{Verb: record.Delete})
			next, _ := value("next")
			refused(t, e.store, k, record.Step{Verb: record.Add, Record: next, TTL: long})
			refused(t, e.store, k, swap(a, next))
			do(t, e.store, k, record.Step{Verb: record.Leave, Expect: a})
			want(t, e.store, k, nil)
		},
	},
	{
		name: "full fence",
		text: "a fence takes record.MaxWriters writers, refuses a further one, and takes one again when one has left",
		test: func(t *testing.T, e *env) {
			k := e.key("a")
			writers := make([]record.Token, record.MaxWriters)
			for i := range writers {
				writers[i] = record.NewToken()
			}
			add(t, e.store, k, fenceOf(record.NewToken(), writers[:record.MaxWriters-1]...))
			do(t, e.store, k, place(writers[record.MaxWriters-1]))
			late := record.NewToken()
			found := refused(t, e.store, k, place(late))
			if n := (len(found) - record.HeaderLen) / len(late); n != record.MaxWriters {
				t.Fatalf("the fence found has %d writers, want %d", n, record.MaxWriters)
			}
			want(t, e.store, k, found)
			do(t, e.store, k, place(writers[7])) // is in it
			do(t, e.store, k, record.Step{Verb: record.Leave, Expect: writers[7]})
			do(t, e.store, k, place(late))
		},
	},
}...)

// tableRules has one rule for each verb: its column of the table in package record.
func tableRules() []rule {
	var rules []rule
	for verb := record.Add; verb <= record.Renew; verb++ {
		rules = append(rules, rule{
			name: verb.String(),
			text: "in every state " + verb.String() + " has the outcome of the table in package record, and leaves what record.Apply says",
			test: func(t *testing.T, e *env) {
				for i, st := range states {
					t.Run(st.name, func(t *testing.T) { testCell(t, e, e.key(fmt.Sprint(i)), st, verb) })
				}
			},
		})
	}
	return rules
}

func testCell(t *testing.T, e *env, k string, st state, verb record.Verb) {
	p := parties{record.NewToken(), record.NewToken(), record.NewToken(), record.NewToken()}
	current := st.make(p)
	if current != nil {
		add(t, e.store, k, current)
	}
	step := record.Step{Verb: verb, Expect: p.mine, Fresh: p.fresh, TTL: 2 * long}
	if verb == record.Add || verb == record.Swap {
		step.Record = stateOf(record.Value, p.third, long, "next")
	}
	wanted := map[string]driver.Outcome{"d": driver.Done, "r": driver.Refused}[strings.Fields(st.outcomes)[verb-record.Add]]
	now := time.Now()
	next, done := record.Apply(current, step, now)
	if done != (wanted == driver.Done) {
		t.Fatalf("record.Apply itself does not follow the table: done is %v", done)
	}
	effect := write(t, e.store, k, step)
	if effect.Outcome != wanted || effect.Err != nil {
		t.Fatalf("%s, want %v", show(effect), wanted)
	}
	if wanted == driver.Refused && !bytes.Equal(effect.Found, next) {
		t.Errorf("refused, found %s, want %s", describe(effect.Found), describe(next))
	}
	got := get(t, e.store, k)
	if err := same(got, next); err != nil {
		t.Errorf("%v: then %s, want %s", err, describe(got), describe(next))
	}
}

// tolerance is by how much the server's clock may differ from ours.
const tolerance = time.Second

// pause is how long a busy machine may stop a test between two lines.
const pause = 10 * time.Second

// same compares two records byte for byte, except that the expiry may differ by a pause: a server counts from its own now.
func same(got, wanted []byte) error {
	if (got == nil) != (wanted == nil) {
		return fmt.Errorf("one is nothing")
	}
	if got == nil {
		return nil
	}
	g, gotBody, ok := record.Parse(got)
	if !ok {
		return fmt.Errorf("not a record")
	}
	w, wantedBody, _ := record.Parse(wanted)
	if d := g.Expiry.Sub(w.Expiry); d.Abs() > tolerance+pause {
		return fmt.Errorf("expiry differs by %v", d)
	}
	g.Expiry, w.Expiry = time.Time{}, time.Time{}
	switch {
	case g != w:
		return fmt.Errorf("headers differ")
	case !bytes.Equal(gotBody, wantedBody):
		return fmt.Errorf("bodies differ")
	}
	return nil
}
