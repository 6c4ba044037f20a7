package tier

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/invalidation"
)

func at(incarnation byte, n uint64) invalidation.Position {
	return invalidation.Position{Incarnation: invalidation.Incarnation{incarnation}, N: n}
}

func TestATestimonyIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	first := firstTestimony(map[string]string{"server": "one"}, at(1, 5))
	for name, w := range map[string]testimony{
		"first":   first,
		"pulsed":  first.pulsed(at(1, 7)).pulsed(at(1, 7)),
		"rewound": first.pulsed(at(1, 7)).rewound(map[string]string{"server": "two"}, at(2, 9)),
		"vouched": first.pulsed(at(1, 7)).rewound(map[string]string{"server": "two"}, at(2, 9)).vouched(at(2, 11)),
	} {
		b, token := w.record("key")
		got, gotToken, ok := readTestimony(b, "key")
		if !ok || gotToken != token || !reflect.DeepEqual(got, w) {
			t.Errorf("%s: %+v, want %+v", name, got, w)
		}
	}
	b, _ := first.record("key")
	for _, b := range [][]byte{nil, []byte("short"), append(make([]byte, 27), "{}"...), b[:len(b)-1]} {
		if _, _, ok := readTestimony(b, "key"); ok {
			t.Errorf("%q was read", b)
		}
	}
	if _, _, ok := readTestimony(b, "other"); ok {
		t.Error("it was read at another key")
	}
	for bit := 8 * record.HeaderLen; bit < 8*len(b); bit++ {
		flipped := slices.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, _, ok := readTestimony(flipped, "key"); ok {
			t.Errorf("bit %d: read as %+v", bit, got)
		}
	}
}

func TestWhatATestimonyLetsBeUsed(t *testing.T) {
	t.Parallel()
	one, two := map[string]string{"server": "one"}, map[string]string{"server": "two"}
	sure := firstTestimony(one, at(1, 5)).pulsed(at(1, 7)).pulsed(at(1, 7))
	unsure := firstTestimony(one, at(1, 5))
	several := sure
	several.Lives = map[string]string{"server": "one", "other": "three"}
	for name, c := range map[string]struct {
		t    testimony
		dead map[invalidation.Position]bool
	}{
		"nothing was there":     {unsure, map[invalidation.Position]bool{at(1, 4): true, at(1, 5): false, {}: true, at(9, 99): true}},
		"another life":          {sure.rewound(two, at(1, 20)), map[invalidation.Position]bool{at(1, 6): true, at(1, 19): true, at(1, 20): false}},
		"made good":             {sure.rewound(two, at(1, 20)).vouched(at(1, 25)), map[invalidation.Position]bool{at(1, 4): true, at(1, 6): false, at(1, 19): false}},
		"nobody can":            {sure.rewound(two, at(1, 20)).floored(), map[invalidation.Position]bool{at(1, 19): true, at(1, 20): false}},
		"and another":           {sure.rewound(two, at(1, 20)).rewound(one, at(1, 30)), map[invalidation.Position]bool{at(1, 19): true, at(1, 29): true, at(1, 30): false}},
		"the bus too":           {sure.rewound(two, at(2, 1)), map[invalidation.Position]bool{at(1, 99): true, at(2, 0): true, at(2, 1): false}},
		"the bus later":         {sure.during(at(2, 1).Incarnation), map[invalidation.Position]bool{at(1, 4): true, at(1, 6): false, at(2, 0): false, at(3, 9): true}},
		"it was not sure yet":   {unsure.rewound(two, at(1, 20)).vouchedIfOpen(), map[invalidation.Position]bool{at(1, 19): true, at(1, 20): false}},
		"one server of several": {several.rewound(two, at(1, 20)).vouchedIfOpen(), map[invalidation.Position]bool{at(1, 19): true, at(1, 20): false}},
	} {
		for p, want := range c.dead {
			if got := c.t.dead(p); got != want {
				t.Errorf("%s: what was loaded at %v is dead: %t", name, p, got)
			}
		}
	}
	if c := maps.Clone(sure.Lives); !sure.covers(c) || sure.covers(two) || sure.covers(map[string]string{"server": "one", "more": "x"}) {
		t.Error("covers")
	}
	many := sure
	for i := range byte(20) {
		many = many.during(at(100+i, 1).Incarnation)
	}
	if len(many.Eras) != maxEras || !many.dead(at(1, 4)) || many.dead(at(1, 99)) || !many.dead(at(50, 9)) || many.dead(at(119, 0)) {
		t.Errorf("%d eras", len(many.Eras))
	}
}

func (t testimony) vouchedIfOpen() testimony {
	if t.open() {
		return t.vouched(t.Upto.Position)
	}
	return t
}

func TestWhatANodeRemembers(t *testing.T) {
	t.Parallel()
	note := func(m *memory, p invalidation.Position, keys ...string) {
		verb := invalidation.VerbInvalidate
		if len(keys) == 0 {
			verb = invalidation.VerbClear
		}
		m.note(p, invalidation.Message{Verb: verb, Keys: keys})
	}
	whole := &rewind{After: place{at(1, 10)}, Through: place{at(1, 20)}}
	torn := &rewind{After: place{at(1, 10)}, Through: place{at(2, 3)}}
	for name, c := range map[string]struct {
		do   func(m *memory)
		of   *rewind
		want string
	}{
		"all of it": {func(m *memory) {
			m.contiguous(at(1, 8))
			note(m, at(1, 9), "before")
			note(m, at(1, 12), "a", "b")
			note(m, at(1, 12), "a")
		}, whole, "{[a b] true false false}"},
		"not from the beginning": {func(m *memory) { m.contiguous(at(1, 11)) }, whole, "{[] false false false}"},
		"with a gap": {func(m *memory) {
			m.contiguous(at(1, 8))
			m.missed(invalidation.FlushGap)
			m.contiguous(at(1, 15))
		}, whole, "{[] false false false}"},
		"a clear": {func(m *memory) { m.contiguous(at(1, 8)); note(m, at(1, 12)) }, whole, "{[] false false true}"},
		"the bus began another life": {func(m *memory) {
			m.contiguous(at(1, 8))
			note(m, at(1, 12), "a")
			m.missed(invalidation.FlushIncarnation)
			m.contiguous(at(2, 1))
			note(m, at(2, 2), "b")
		}, torn, "{[a b] false true false}"},
		"and another": {func(m *memory) {
			m.contiguous(at(1, 8))
			m.missed(invalidation.FlushIncarnation)
			m.contiguous(at(2, 1))
			m.missed(invalidation.FlushIncarnation)
			m.contiguous(at(3, 1))
		}, torn, "{[] false false false}"},
		"more than it can": {func(m *memory) {
			m.contiguous(at(1, 8))
			for n := range uint64(maxRemembered) {
				note(m, at(1, 9+n), "k")
			}
		}, whole, "{[] false false false}"},
	} {
		var m memory
		c.do(&m)
		if got := fmt.Sprint(m.recount(c.of)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
