package backend

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A place is a key in nested key spaces.
type place struct {
	names []string
	key   string
}

func (p place) store() *Store {
	s := New(nil)
	for _, name := range p.names {
		s = s.Prefix(name)
	}
	return s
}

// within reports whether the spaces of p are those of q, or lie within them.
func (p place) within(q place) bool {
	return len(p.names) >= len(q.names) && slices.Equal(p.names[:len(q.names)], q.names)
}

// odd draws strings that could be taken for something else: parts of other stored keys, digests, separators.
func odd(told []string) *rapid.Generator[string] {
	part := rapid.SampledFrom(append([]string{
		"a", "b", "ab", "/", "~", "~~", "{", "}", "%", "%2F", "%7E", "2F", " ", "\x00", "ü", "\xff",
		strings.Repeat("l", 40), strings.Repeat("l", 41), strings.Repeat("l", 120), strings.Repeat(" ", 15), strings.Repeat("/", 90),
	}, told...))
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), "") })
}

func drawPlace(t *rapid.T, told []string) place {
	return place{rapid.SliceOfN(odd(told), 0, 5).Draw(t, "names"), odd(told).Draw(t, "key")}
}

func TestNoKeyOfASpaceReachesAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlace(t, nil)
		// The second knows all that the first is stored as, and tries to be taken for it.
		stored := p.store().Key(p.key)
		told := append([]string{stored, p.key, strings.TrimPrefix(digest(p.key), "~"), p.store().space}, p.names...)
		told = append(told, strings.FieldsFunc(stored, func(r rune) bool { return strings.ContainsRune("/~{}", r) })...)
		checkApart(t, p, drawPlace(t, told))
	})
}

func FuzzSpaces(f *testing.F) {
	long := strings.Repeat("l", 100)
	for _, seed := range [][4]string{
		{"a\nb", "c", "a", "b/c"}, {"a", "b/c", "a/b", "c"}, {"a\nb", "c", "a/b", "c"}, {"a\nb/c", "k", "a/b\nc", "k"}, {"a", "k", "", "~a/k"}, {"~a", "k", "a", "k"},
		{long, "k", strings.TrimPrefix(digest(long), "~"), "k"}, {"a\n" + long, "k", "a\n" + digest(long), "k"},
		{"a\nb\n" + long, "k", "a\n~" + digest(spaceWithin("", "a")), "k"}, {"", "", "\n", ""}, {"{a", "}k", "{a}", "k"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, aNames, a, bNames, b string) {
		checkApart(t, place{strings.Split(aNames, "\n"), a}, place{strings.Split(bNames, "\n"), b})
	})
}

// checkApart checks that two places are one exactly if they are the same, and that listing either finds the other only
// where it should.
func checkApart(t rapid.TB, p, q place) {
	sp, sq := p.store(), q.store()
	kp, kq := sp.Key(p.key), sq.Key(q.key)
	if why := fits(kp); why != "" {
		t.Fatalf("%q is stored as %q, which %s", p, kp, why)
	}
	samePlace := slices.Equal(p.names, q.names)
	if same := samePlace && p.key == q.key; (kp == kq) != same {
		t.Fatalf("%q and %q are stored as %q and %q", p, q, kp, kq)
	}
	if (sp.space == sq.space) != samePlace {
		t.Fatalf("the spaces of %q and %q are %q and %q", p, q, sp.space, sq.space)
	}
	if strings.HasPrefix(kp, sq.space) && !p.within(q) {
		t.Fatalf("%q is stored as %q, in the space %q of %q", p, kp, sq.space, q)
	}
	for n := 1; n <= len(q.key); n++ {
		for _, begin := range listed(sq.space, q.key[:n]) {
			if strings.HasPrefix(kp, begin) && (!samePlace || !strings.HasPrefix(p.key, q.key[:n])) {
				t.Fatalf("%q is stored as %q, and found by the prefix %q of %q, listed as %q", p, kp, q.key[:n], q, begin)
			}
		}
	}
}

func TestAllKeysAreFoundByWhatEndsWithTheirBrace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlace(t, nil)
		s := p.store()
		before := strings.NewReplacer("{", "", "}", "").Replace(odd(nil).Draw(t, "before"))
		inside := strings.NewReplacer("}", "").Replace(odd(nil).Draw(t, "inside"))
		stored := s.Key(before + "{" + inside + "}")
		if !slices.ContainsFunc(listed(s.space, before+"{"), func(begin string) bool { return strings.HasPrefix(stored, begin) }) {
			t.Fatalf("%q, with %q inside, is stored as %q, which the prefix up to its brace does not find", before, inside, stored)
		}
		if !strings.Contains(stored[len(s.space):], "{") {
			t.Fatalf("%q lost its brace in %q", before, stored)
		}
	})
}
