package record_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/record"
	"pgregory.net/rapid"
)

// A ledger follows one key as its users see it: who placed a fence and has neither left nor stored, who touched the fence
// beside its first writer, and until when it must be there. It knows nothing of bytes.
type ledger struct {
	now     time.Time
	current []byte
	inside  map[record.Token]time.Time // writers, each with the end that it was promised
	clean   record.Token               // the writer that nobody has disturbed, zero for none
}

func (l *ledger) apply(t *rapid.T, s record.Step) {
	next, done := record.Apply(l.current, s, l.now)
	if done {
		l.follow(t, s)
	}
	l.current = next
	l.check(t, s)
}

func (l *ledger) follow(t *rapid.T, s record.Step) {
	end := l.now.Add(s.TTL)
	switch s.Verb {
	case record.Add:
		if len(l.inside) > 0 {
			t.Fatalf("added while %d writers hold a fence", len(l.inside))
		}
	case record.Swap, record.Remove:
		if len(l.inside) > 0 && (l.clean != s.Expect || len(l.inside) != 1) {
			t.Fatalf("%v by %v over a fence that is not clean and alone its own", s.Verb, s.Expect)
		}
		clear(l.inside)
		l.clean = record.Token{}
	case record.Place:
		if len(l.inside) == 0 && !live(l) {
			l.clean = s.Expect
		} else {
			l.clean = record.Token{}
		}
		l.inside[s.Expect] = end
	case record.Leave:
		delete(l.inside, s.Expect)
		l.clean = record.Token{}
	case record.Delete:
		l.clean = record.Token{}
	case record.Renew:
		if old, in := l.inside[s.Expect]; in && end.After(old) {
			l.inside[s.Expect] = end
		}
	}
}

// live reports whether the key holds a fence.
func live(l *ledger) bool {
	b := record.Live(l.current, l.now)
	return b != nil && record.Kind(b[1]) == record.Fence
}

func (l *ledger) check(t *rapid.T, s record.Step) {
	for w, end := range l.inside {
		if !l.now.Before(end) {
			delete(l.inside, w) // its end was promised and has come
			if l.clean == w {
				l.clean = record.Token{}
			}
			continue
		}
		if !live(l) || !slices.Contains(tokensIn(l.current), w) {
			t.Fatalf("after %v the fence of %v is gone, %v before its end", s.Verb, w, end.Sub(l.now))
		}
	}
}

func tokensIn(b []byte) []record.Token {
	_, body, _ := record.Parse(b)
	var in []record.Token
	for ; len(body) >= 16; body = body[16:] {
		in = append(in, record.Token(body))
	}
	return in
}

func TestNoHistoryRemovesAFenceOfAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{now: now, inside: map[record.Token]time.Time{}}
		names := []record.Token{}
		fresh := func() record.Token { // as a random one: never seen before
			var n record.Token
			n[0], n[1], n[2] = 'f', byte(len(names)), byte(len(names)>>8)
			names = append(names, n)
			return n
		}
		mine := []record.Token{fresh()} // tokens that somebody chose for a write of its own: writers', values', leases'
		ttl := rapid.Int64Range(1, 3000)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "time passes") == 0 {
				l.now = l.now.Add(time.Duration(ttl.Draw(t, "ms")) * time.Millisecond)
				l.check(t, record.Step{})
			}
			s := record.Step{
				Verb:   record.Verb(rapid.IntRange(int(record.Add), int(record.Renew)).Draw(t, "verb")),
				Expect: rapid.SampledFrom(mine).Draw(t, "expect"),
				Fresh:  fresh(),
				TTL:    time.Duration(ttl.Draw(t, "ttl")) * time.Millisecond,
			}
			switch s.Verb {
			case record.Add, record.Swap:
				n := fresh()
				mine = append(mine, n)
				kind := rapid.SampledFrom([]record.Kind{record.Value, record.Lease}).Draw(t, "kind")
				s.Record = record.New(record.Header{Kind: kind, Token: n, Expiry: l.now.Add(s.TTL)}, nil)
			case record.Place:
				if rapid.Bool().Draw(t, "new writer") {
					s.Expect = fresh()
					mine = append(mine, s.Expect)
				}
			}
			l.apply(t, s)
		}
	})
}

// Swap puts a value over a fence only if it is clean and holds exactly the swapper's token.
func TestAValueReplacesOnlyACleanFenceOfItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := []record.Token{token('a'), token('b'), token('c')}
		in := map[record.Token]bool{}
		clean := record.Token{}
		var b []byte
		for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
			who := rapid.SampledFrom(all).Draw(t, "who")
			s := record.Step{Expect: who, Fresh: token(byte(100 + i)), TTL: time.Minute}
			switch s.Verb = rapid.SampledFrom([]record.Verb{record.Place, record.Leave, record.Delete, record.Renew}).Draw(t, "verb"); s.Verb {
			case record.Place:
				clean = record.Token{}
				if len(in) == 0 {
					clean = who
				}
				in[who] = true
			case record.Leave:
				delete(in, who)
				clean = record.Token{}
			case record.Delete:
				clean = record.Token{}
			}
			b, _ = record.Apply(b, s, now)
			for _, w := range all {
				value := record.New(record.Header{Kind: record.Value, Token: token('v'), Expiry: now.Add(time.Hour)}, nil)
				next, done := record.Apply(b, record.Step{Verb: record.Swap, Expect: w, Record: value, TTL: time.Hour}, now)
				if wanted := w == clean && len(in) == 1; done != wanted {
					t.Fatalf("swap by %v over a fence of %v, clean for %v: done is %v", w, slices.Collect(maps.Keys(in)), clean, done)
				}
				if !done && string(next) != string(b) {
					t.Fatal("a refused swap changed the fence")
				}
			}
		}
	})
}
