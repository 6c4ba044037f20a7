package tier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
)

// Markers kill a value exactly if one of its slots, or everything, was invalidated after its stamp: whatever is joined, restored or
// read back in between.
func TestMarkersKillWhatWasLoadedBefore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		type value struct {
			stamp stamp
			slots []uint16
			dead  bool
		}
		slots := func() []uint16 {
			s := make([]uint16, r.IntN(3))
			for i := range s {
				s[i] = uint16(r.IntN(5) * (markSlots - 1) / 4)
			}
			return s
		}
		m := newMarkers()
		old := []*markers{m}
		var values []*value
		for step := range 100 {
			switch r.IntN(6) {
			case 0, 1:
				values = append(values, &value{stamp: m.stamp(), slots: slots()})
			case 2, 3:
				hit, all := slots(), r.IntN(10) == 0
				m = m.marked(all, hit)
				for _, v := range values {
					for _, s := range v.slots {
						v.dead = v.dead || bytes.Contains(encoded(hit), encoded([]uint16{s}))
					}
					v.dead = v.dead || all
				}
			case 4:
				m = m.markedAt(m.n+restoreStep, false, nil)
			case 5:
				before := old[r.IntN(len(old))]
				if !m.covers(before) || before.n < m.n && before.covers(m) {
					t.Fatalf("seed %d, step %d: %v does not cover %v", seed, step, m, before)
				}
				if m = before.joined(m); !m.covers(before) {
					t.Fatalf("seed %d, step %d: a join lacks something", seed, step)
				}
			}
			back, err := parseMarkers(appendMarkers(nil, m, "k"), "k")
			if err != nil || !back.covers(m) || !m.covers(back) {
				t.Fatalf("seed %d, step %d: %v comes back as %v, %v", seed, step, m, back, err)
			}
			m = back
			old = append(old, m)
			for i, v := range values {
				if m.dead(v.stamp, v.slots) != v.dead {
					t.Fatalf("seed %d, step %d: value %d (%v) is dead: %t", seed, step, i, v, !v.dead)
				}
			}
		}
	}
}

// encoded is a set of slots in which bytes.Contains finds one.
func encoded(slots []uint16) []byte {
	var b bytes.Buffer
	for _, s := range slots {
		fmt.Fprintf(&b, ";%d;", s)
	}
	return b.Bytes()
}

func TestWhoKnowsNothingServesNothing(t *testing.T) {
	t.Parallel()
	var none *markers
	if m := newMarkers(); !none.dead(m.stamp(), nil) || !m.dead(stamp{}, nil) || !m.dead(newMarkers().stamp(), nil) || m.dead(m.stamp(), nil) {
		t.Error("a value is alive by luck")
	}
}

func TestMoreTagsThanSlotsStayDeadAndBounded(t *testing.T) {
	t.Parallel()
	m := newMarkers()
	before := m.stamp()
	for i := range 3 * markSlots {
		m = m.marked(false, []uint16{slotOf(fmt.Sprint("tag", i))})
	}
	for i := range 3 * markSlots {
		if !m.dead(before, []uint16{slotOf(fmt.Sprint("tag", i))}) {
			t.Fatalf("tag %d is forgotten", i)
		}
	}
	if n := len(appendMarkers(nil, m, "key")); n > maxMarkers || n > 20<<10 {
		t.Errorf("%d bytes", n)
	}
}

// Two branches of a record that went back in time cover neither the other.
func TestBranchesAreToldApart(t *testing.T) {
	t.Parallel()
	m := newMarkers().marked(false, []uint16{1})
	a, b := m.marked(false, []uint16{2}), m.marked(false, []uint16{3})
	if a.covers(b) || b.covers(a) || b.marked(false, []uint16{4}).covers(a) {
		t.Error("a branch covers another")
	}
	if !b.marked(true, nil).covers(a) {
		t.Error("a clear does not cover what it kills")
	}
}

func FuzzMarkers(f *testing.F) {
	m := newMarkers()
	for i := range 20 {
		f.Add(appendMarkers(nil, m, "k"))
		m = m.marked(i == 10, []uint16{uint16(i * 200), markSlots - 1})
	}
	f.Add([]byte("sM\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > markersSum { // so that what lies behind the checksum is reached
			sum := xxh3.Hash(append(bytes.Clone(b[:len(b)-markersSum]), "k"...))
			b = binary.BigEndian.AppendUint64(bytes.Clone(b[:len(b)-markersSum]), sum)
		}
		m, err := parseMarkers(b, "k")
		if err != nil {
			return
		}
		for slot, n := range m.slots {
			if n > m.n || n != 0 && n <= m.all {
				t.Fatalf("slot %d has %d, of %d", slot, n, m.n)
			}
		}
		back, err := parseMarkers(appendMarkers(nil, m, "k"), "k")
		if err != nil || !back.covers(m) || !m.covers(back) {
			t.Fatalf("%v comes back as %v, %v", m, back, err)
		}
		if _, err := parseMarkers(b, "another key"); err == nil {
			t.Fatal("read at another key")
		}
	})
}
