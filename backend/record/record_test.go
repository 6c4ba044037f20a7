package record_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
)

var now = time.UnixMilli(1_700_000_000_000)

func token(c byte) (t record.Token) {
	for i := range t {
		t[i] = c
	}
	return t
}

func made(k record.Kind, t record.Token, ttl time.Duration, body string) []byte {
	return record.New(record.Header{Kind: k, Token: t, Expiry: now.Add(ttl)}, []byte(body))
}

func dirtied(b []byte) []byte {
	b[2] |= byte(record.Dirty)
	return b
}

func writers(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		t := token(c)
		b.Write(t[:])
	}
	return b.String()
}

func TestHeaderPlacesAreFixed(t *testing.T) {
	t.Parallel()
	h := record.Header{Version: record.Version, Kind: record.Fence, Flags: record.Dirty, Token: token('t'), Expiry: time.UnixMilli(0x0102030405060708)}
	b := record.New(h, []byte("body"))
	wanted := "\x01\x03\x01" + strings.Repeat("t", 16) + "\x01\x02\x03\x04\x05\x06\x07\x08" + "body"
	if string(b) != wanted {
		t.Errorf("New: %q, want %q", b, wanted)
	}
	got, body, ok := record.Parse(b)
	if !ok || got != h || string(body) != "body" || record.TokenOf(b) != h.Token {
		t.Errorf("Parse: %+v, %q, %v", got, body, ok)
	}
}

func TestTooShortIsNoRecord(t *testing.T) {
	t.Parallel()
	whole := made(record.Value, token('a'), time.Hour, "")
	for n := range record.HeaderLen {
		b := whole[:n]
		if _, _, ok := record.Parse(b); ok {
			t.Errorf("Parse of %d bytes is true", n)
		}
		if !record.TokenOf(b).IsZero() || record.Live(b, now) != nil {
			t.Errorf("%d bytes count as a record", n)
		}
	}
	if record.Live(whole, now) == nil {
		t.Error("a whole header does not count as a record")
	}
}

func TestAValueEndsAtItsExpiryAndAFenceAfterItsSlack(t *testing.T) {
	t.Parallel()
	for kind, slack := range map[record.Kind]time.Duration{record.Value: 0, record.Lease: 0, record.Fence: record.FenceSlack} {
		b := made(kind, token('a'), time.Second, "")
		end := now.Add(time.Second + slack)
		if record.Live(b, end.Add(-time.Millisecond)) == nil {
			t.Errorf("%v is gone a millisecond before its end", kind)
		}
		if record.Live(b, end) != nil {
			t.Errorf("%v lives at its end", kind)
		}
		if got := record.Remaining(b, now); got != time.Second+slack {
			t.Errorf("%v: %v remain, want %v", kind, got, time.Second+slack)
		}
		if got := record.Remaining(b, end.Add(time.Hour)); got != time.Millisecond {
			t.Errorf("%v: %v remain after its end, want the least there is", kind, got)
		}
	}
}

// The whole table: each verb in each state. "=" leaves what is there, "0" leaves nothing.
func TestApply(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	// m is who takes the step, o another, f the fresh token, n the new record's.
	next := string(made(record.Value, token('n'), ttl, "next"))
	fence := string(made(record.Fence, token('m'), ttl, writers("m")))
	fenceOf := func(header byte, in string, left time.Duration) []byte {
		b := made(record.Fence, token(header), left, writers(in))
		if in != string(header) {
			dirtied(b)
		}
		return b
	}
	left := func(in string, left time.Duration) string {
		return string(dirtied(made(record.Fence, token('f'), left, writers(in))))
	}
	renewed := func(k record.Kind, left time.Duration, body string) string {
		return string(made(k, token('m'), left, body))
	}
	longer, shorter := time.Minute, time.Second
	unknown := made(record.Value, token('m'), longer, "body")
	unknown[0] = 77
	unknownRenewed := bytes.Clone([]byte(renewed(record.Value, ttl, "body")))
	unknownRenewed[0] = 77

	const refused = "="
	for _, tc := range []struct {
		state   string
		current []byte
		// What each verb leaves: add, swap, remove, place, leave, delete, renew; refused for one that does nothing.
		add, swap, remove, place, leave, del, renew string
	}{
		{"nothing", nil, next, refused, refused, fence, "0", "0", refused},
		{"empty", []byte{}, next, refused, refused, fence, "0", "0", refused},
		{"short", made(record.Value, token('m'), longer, "")[:record.HeaderLen-1], next, refused, refused, fence, "0", "0", refused},
		{"expired value", made(record.Value, token('m'), 0, "x"), next, refused, refused, fence, "0", "0", refused},
		{"expired lease", made(record.Lease, token('m'), 0, ""), next, refused, refused, fence, "0", "0", refused},
		{"expired fence", made(record.Fence, token('m'), -record.FenceSlack, writers("m")), next, refused, refused, fence, "0", "0", refused},
		{"my value", made(record.Value, token('m'), longer, "body"), refused, next, "0", fence, "0", "0", renewed(record.Value, ttl, "body")},
		{"another value", made(record.Value, token('o'), longer, "body"), refused, refused, refused, fence, "0", "0", refused},
		{"value of zero token", made(record.Value, record.Token{}, longer, "body"), refused, refused, refused, fence, "0", "0", refused},
		{"my lease, longer", made(record.Lease, token('m'), longer, ""), refused, next, "0", fence, "0", "0", renewed(record.Lease, longer, "")},
		{"my lease, shorter", made(record.Lease, token('m'), shorter, ""), refused, next, "0", fence, "0", "0", renewed(record.Lease, ttl, "")},
		{"another lease", made(record.Lease, token('o'), longer, ""), refused, refused, refused, fence, "0", "0", refused},
		{"my fence, longer", fenceOf('m', "m", longer), refused, next, "0", left("m", longer), "0", left("m", longer), renewed(record.Fence, longer, writers("m"))},
		{"my fence, shorter", fenceOf('m', "m", shorter), refused, next, "0", left("m", ttl), "0", left("m", shorter), renewed(record.Fence, ttl, writers("m"))},
		{"my fence in its slack", fenceOf('m', "m", -shorter/2), refused, next, "0", left("m", ttl), "0", left("m", -shorter/2), renewed(record.Fence, ttl, writers("m"))},
		{"another fence", fenceOf('o', "o", longer), refused, refused, refused, left("om", longer), left("o", longer), left("o", longer), refused},
		{"fence of both", fenceOf('d', "om", shorter), refused, refused, refused, left("om", ttl), left("o", shorter), left("om", shorter), string(dirtied(made(record.Fence, token('d'), ttl, writers("om"))))},
		{"fence of both, mine first", fenceOf('d', "mo", shorter), refused, refused, refused, left("mo", ttl), left("o", shorter), left("mo", shorter), string(dirtied(made(record.Fence, token('d'), ttl, writers("mo"))))},
		{"my dirty fence", fenceOf('d', "m", longer), refused, refused, refused, left("m", longer), "0", left("m", longer), string(fenceOf('d', "m", longer))},
		{"unknown version", unknown, refused, next, "0", fence, "0", "0", string(unknownRenewed)},
	} {
		for verb, wanted := range map[record.Verb]string{
			record.Add: tc.add, record.Swap: tc.swap, record.Remove: tc.remove, record.Place: tc.place,
			record.Leave: tc.leave, record.Delete: tc.del, record.Renew: tc.renew,
		} {
			t.Run(verb.String()+" over "+tc.state, func(t *testing.T) {
				before := bytes.Clone(tc.current)
				if tc.current != nil { // with room behind it, into which nothing may be written
					tc.current = append(make([]byte, 0, len(before)+100), before...)
				}
				step := record.Step{Verb: verb, Expect: token('m'), Fresh: token('f'), TTL: ttl}
				if verb == record.Add || verb == record.Swap {
					step.Record = []byte(next)
				}
				got, done := record.Apply(tc.current, step, now)
				if done != (wanted != refused) {
					t.Fatalf("done is %v", done)
				}
				switch wanted {
				case refused:
					wanted = string(record.Live(before, now))
				case "0":
					wanted = ""
				}
				if string(got) != wanted || (got == nil) != (wanted == "") {
					t.Errorf("leaves\n%q, want\n%q", got, wanted)
				}
				if !bytes.Equal(tc.current, before) {
					t.Errorf("changed what it was given: %q, was %q", tc.current, before)
				}
			})
		}
	}
}

func TestTheZeroTokenNamesNothing(t *testing.T) {
	t.Parallel()
	b := made(record.Value, record.Token{}, time.Hour, "body")
	for _, verb := range []record.Verb{record.Swap, record.Remove, record.Renew} {
		if _, done := record.Apply(b, record.Step{Verb: verb, TTL: time.Second}, now); done {
			t.Errorf("%v by the zero token was done", verb)
		}
	}
}

func TestAnUnknownVerbDoesNothing(t *testing.T) {
	t.Parallel()
	b := made(record.Value, token('m'), time.Hour, "body")
	for _, verb := range []record.Verb{0, record.Renew + 1, 255} {
		got, done := record.Apply(b, record.Step{Verb: verb, Expect: token('m'), TTL: time.Second}, now)
		if done || !bytes.Equal(got, b) || verb.String() != "unknown" {
			t.Errorf("verb %d (%v): %q, %v", verb, verb, got, done)
		}
	}
}

func TestAFullFenceRefusesAFurtherWriter(t *testing.T) {
	t.Parallel()
	var b []byte
	tokens := make([]record.Token, record.MaxWriters+1)
	for i := range tokens {
		tokens[i] = record.NewToken()
		step := record.Step{Verb: record.Place, Expect: tokens[i], Fresh: record.NewToken(), TTL: time.Second}
		next, done := record.Apply(b, step, now)
		if done != (i < record.MaxWriters) {
			t.Fatalf("writer %d: done is %v", i+1, done)
		}
		b = next
	}
	again := record.Step{Verb: record.Place, Expect: tokens[0], Fresh: record.NewToken(), TTL: time.Minute}
	if _, done := record.Apply(b, again, now); !done {
		t.Error("a writer that is in a full fence was refused")
	}
	b, _ = record.Apply(b, record.Step{Verb: record.Leave, Expect: tokens[3], Fresh: record.NewToken()}, now)
	again.Expect = tokens[record.MaxWriters]
	if _, done := record.Apply(b, again, now); !done {
		t.Error("a writer was refused though another had left")
	}
}

func TestTokensAreNotUsedTwice(t *testing.T) {
	t.Parallel()
	seen := map[record.Token]bool{}
	for range 1000 {
		n := record.NewToken()
		if seen[n] || n.IsZero() {
			t.Fatalf("token %v", n)
		}
		seen[n] = true
	}
}
