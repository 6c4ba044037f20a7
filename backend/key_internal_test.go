package backend

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend/driver"
)

// fits reports what is wrong with a stored key.
func fits(stored string) string {
	if stored == "" {
		return "is empty"
	}
	if len(stored) > driver.MaxKey {
		return "is too long"
	}
	for i := range len(stored) {
		if stored[i] <= ' ' || stored[i] >= 0x7f {
			return "has a byte that not every server takes"
		}
	}
	return ""
}

func FuzzEscape(f *testing.F) {
	long := strings.Repeat("k", 300)
	for _, seed := range [][2]string{
		{"", "%"}, {"a", "A"}, {"a b", "a%20b"}, {"%", "%25"}, {"~", "%7E"}, {"\x00", "%00"}, {"ä", "\xc3"},
		{long + "a", long + "b"}, {"{" + long + "}a", "{" + long + "}b"}, {"{s}" + long, "{s" + long + "}"},
		{long, digest(long)}, {"{" + long + "}", "{" + digest(long) + "}"}, {strings.Repeat("k", 200), strings.Repeat("k", 201)},
		{strings.Repeat(" ", 66), strings.Repeat(" ", 67)}, {"s/" + long, long}, {"}" + long + "{", "}{" + long},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, space := range []string{"", spaceWithin("", a), spaceWithin(spaceWithin("", b), a)} {
			sa, sb := escape(space, a), escape(space, b)
			if why := fits(sa); why != "" {
				t.Fatalf("%q in %q is stored as %q, which %s", a, space, sa, why)
			}
			if (sa == sb) != (a == b) {
				t.Fatalf("%q and %q are stored as %q and %q", a, b, sa, sb)
			}
			if !strings.HasPrefix(sa, space) {
				t.Fatalf("%q is stored as %q, outside its space %q", a, sa, space)
			}
			if rest := sa[len(space):]; !strings.Contains(rest, "~") && unescape(rest) != a {
				t.Fatalf("%q is stored as %q, which is read as %q", a, sa, unescape(rest))
			}
			if len(percent(a, plain))+len(space) <= driver.MaxKey && strings.Contains(sa[len(space):], "~") {
				t.Fatalf("%q was shortened to %q without need", a, sa)
			}
		}
		x, y := spaceWithin("", a), spaceWithin("", b)
		if why := fits(x); why != "" || len(x) > maxSpace {
			t.Fatalf("the space %q is %q, of %d bytes: %s", a, x, len(x), why)
		}
		if a != b && (strings.HasPrefix(x, y) || strings.HasPrefix(y, x)) {
			t.Fatalf("the spaces %q and %q are %q and %q, one within the other", a, b, x, y)
		}
	})
}

func TestKeysWithOneTagStayTogether(t *testing.T) {
	t.Parallel()
	tag := func(stored string) string {
		_, rest, ok := strings.Cut(stored, "{")
		inside, _, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			t.Fatalf("%q has no tag", stored)
		}
		return inside
	}
	long := strings.Repeat("t", 300)
	for _, pair := range [][2]string{
		{"{user}a", "b{user}"}, {"{" + long + "}a", "{" + long + "}b"}, {"x{" + long + "}", "{" + long + "}x"},
	} {
		for _, space := range []string{"", spaceWithin("", "{odd}"), spaceWithin("", long)} {
			if a, b := tag(escape(space, pair[0])), tag(escape(space, pair[1])); a != b {
				t.Errorf("keys of one tag have tags %q and %q", a, b)
			}
		}
	}
}

func TestANestedSpaceLiesInTheOutermost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", 300)
	for _, names := range [][]string{{"a", "b"}, {"ü{", ""}, {"", long}, {long, long}, {long, long, long, long, "b"}, {"a", "b", "c", "d", "e"}} {
		s := New(nil).Prefix(names[0])
		outermost := s.space
		for i, name := range names[1:] {
			parent := s
			s = s.Prefix(name)
			if !strings.HasPrefix(s.space, outermost) || i == 0 && !strings.HasPrefix(s.space, parent.space) {
				t.Errorf("space %q in %q is not within %q", s.space, parent.space, outermost)
			}
		}
	}
}

// The layout is what servers hold: nodes of two versions meet there.
func TestStoredKeysNeverChange(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 201)
	products := spaceWithin("", "products/v1")
	deep := spaceWithin(spaceWithin(products, long), long)
	deeper := spaceWithin(deep, long)
	for _, tc := range []struct{ space, key, wanted string }{
		{"", "plain:42", "plain:42"},
		{"", "", "%"},
		{"", "a b%~\xff", "a%20b%25%7E%FF"},
		{products, "42", "~products%2Fv1/42"},
		{products, "", "~products%2Fv1/"},
		{products, long, "~products%2Fv1/~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ"},
		{spaceWithin(products, long), "42", "~products%2Fv1/~~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ/42"},
		{deep, "42", "~products%2Fv1/~~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ/~~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ/42"},
		{deeper, "42", "~products%2Fv1/~~~5bhadzi3FxJu-VCBIlJnI6G_LxnTXWJBHVkYl56Uh9w/42"},
		{"", "{" + long + "}a", "{~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ}a"},
		{"", long + "{a}", "~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ{~ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs}"},
		{"", long, "~6_Dq0KO4N7w4jWo2yTgz__ZKCovIGY_A8be1Ax3d0lQ"},
	} {
		if got := escape(tc.space, tc.key); got != tc.wanted {
			t.Errorf("%q: %q, want %q", tc.key, got, tc.wanted)
		}
	}
}
