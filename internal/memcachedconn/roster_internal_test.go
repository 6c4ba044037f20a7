package memcachedconn

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// placed is where a key is stored.
type placed struct {
	server string
	since  tenancy
}

func TestAKeyHasANewPlaceWheneverItsOwnerChanged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := make([]string, 6)
		for i := range all {
			all[i] = fmt.Sprintf("s%d:11211", i)
		}
		keys := rapid.SliceOfNDistinct(rapid.StringN(1, 8, 8), 20, 20, rapid.ID).Draw(t, "keys")
		used := make(map[string]map[placed]bool) // by key, all places ever
		now := make(map[string]placed)
		l := &list{}
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			members := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, len(all), rapid.ID).Draw(t, "members")
			before := l
			if l = l.next(members); !slices.Equal(l.servers(), slices.Sorted(slices.Values(members))) {
				t.Fatalf("members %v, want %v", l.servers(), members)
			}
			r := newRoster(*l, func(name string) *Server { return &Server{name: name} })
			for _, key := range keys {
				s, since := r.place(key)
				at := placed{s.name, since}
				if best := highest(key, members); s.name != best {
					t.Fatalf("%q on %s, want %s", key, s.name, best)
				}
				if before.ID != "" && at.server == now[key].server && at != now[key] {
					t.Fatalf("%q lost its records, and it stays on %s", key, at.server)
				}
				if at != now[key] && used[key][at] {
					t.Fatalf("%q is where it was before it was elsewhere: %v", key, at)
				}
				if used[key] == nil {
					used[key] = make(map[placed]bool)
				}
				used[key][at] = true
				now[key] = at
			}
		}
	})
}

// highest is rendezvous hashing by its definition.
func highest(key string, members []string) (best string) {
	var score uint64
	for _, name := range slices.Sorted(slices.Values(members)) {
		if s := mix(hash(braced(key)) ^ mix(hash(name))); best == "" || s > score {
			best, score = name, s
		}
	}
	return best
}

func TestManyServersOfThePastEmptyThePool(t *testing.T) {
	t.Parallel()
	l := (&list{}).next([]string{"stays:1", "left0:1"})
	first := l.Members["stays:1"]
	for i := 1; i <= maxLeft; i++ {
		l = l.next([]string{"stays:1", fmt.Sprintf("left%d:1", i)})
	}
	if len(l.Left) != maxLeft || l.Members["stays:1"] != first {
		t.Fatalf("%d left, %v", len(l.Left), l.Members)
	}
	l = l.next([]string{"stays:1", "last:1"})
	if len(l.Left) != 0 || l.Members["stays:1"] != l.tenancy {
		t.Errorf("%d left, %v", len(l.Left), l.Members)
	}
}

func TestARegisteredListComesBack(t *testing.T) {
	t.Parallel()
	l := (&list{}).next([]string{"a:1", "b:1"})
	reg := &registered{Lease: minLease, List: *l, Next: l.next([]string{"b:1"}), Cut: []string{"a:1"}, Wait: true}
	got, err := decode(reg.encode())
	if err != nil || fmt.Sprint(got.List, *got.Next, got.Cut, got.Wait, got.Lease) != fmt.Sprint(reg.List, *reg.Next, reg.Cut, reg.Wait, reg.Lease) {
		t.Errorf("%+v, %v, want %+v", got, err, reg)
	}
	for _, bad := range []string{"", "null", "{}", `{"format":2}`, `{"format":1,"lease":1000000000}`, `{"format":1,"lease":1,"list":{"id":"x"}}`} {
		if _, err := decode([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a list", bad)
		}
	}
}

func TestMarksComeBack(t *testing.T) {
	t.Parallel()
	nonce := newNonce()
	for _, m := range []mark{{nonce: nonce}, {nonce: nonce, pid: "7", open: "x"}, {nonce: nonce, pid: "7", shut: "y"}} {
		got, err := parseMark(m.String())
		if m.pid == "" {
			m.pid = "-"
		}
		if err != nil || got != m {
			t.Errorf("%q: %+v, %v", m, got, err)
		}
		if open := got.isOpen("7", "x"); open != (m.open == "x") {
			t.Errorf("%q is open: %v", m, open)
		}
		if got.isOpen("8", "x") || got.isOpen("7", "") {
			t.Errorf("%q is open to another process, or to no list", m)
		}
	}
	for _, bad := range []string{"", "x", nonce, nonce + " 7 open", nonce + " 7 open ", nonce + " 7 ajar x", "xyz 7 open x", nonce + " 7 open x y"} {
		if _, err := parseMark(bad); err == nil {
			t.Errorf("%q is taken for a mark", bad)
		}
	}
}
