package tier

import (
	"crypto/rand"
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"

	"github.com/strata-cache/strata/internal/weaken"
)

// markers are what was invalidated by tag, or altogether by a Clear, in one small record beside the values of a cache. Each such
// invalidation counts n up, by a compare-and-swap of the record, and leaves that number as its marker. A value carries a stamp:
// the incarnation and n that its node knew before it began to load the value.
//
//	InvalidateTag(t)   n = n+1, slot[hash(t)] = n
//	Clear              n = n+1, all = n
//
//	a value is dead if   its stamp is of another incarnation,
//	                     or its stamp's n < all,
//	                     or its stamp's n < slot[hash(t)] for one of its tags t
//
// The load of a value that is alive began after every invalidation that concerns it: whoever began before did not know its n. A
// stamp that is too low only kills too much, and so do two tags that share a slot.
//
// n grows within an incarnation, and so does each marker. A record that was lost is begun anew under another incarnation, or
// restored by a node that knows all of it; see copy.go. Nothing here depends on the bus, or on a clock.
//
// Markers do not change: each change makes new ones.
type markers struct {
	incarnation [16]byte
	n           uint64
	all         uint64
	slots       []uint64 // by slot; nil if no tag was invalidated yet
}

// markSlots is how many slots there are for tags. Of so many invalidations of different tags one kills a given value that has
// none of them.
const markSlots = 1 << 12

// A stamp says which invalidations were known before a value was loaded. The zero stamp is that of nothing: whatever has it is
// dead.
type stamp struct {
	incarnation [16]byte
	n           uint64
}

// newMarkers are those of a record that is begun anew.
func newMarkers() *markers {
	m := &markers{n: 1}
	rand.Read(m.incarnation[:]) // never fails, by its documentation
	return m
}

// slotOf returns the slot of a tag: the same on every node.
func slotOf(tag string) uint16 { return uint16(xxh3.HashString(tag) & (markSlots - 1)) }

func slotsOf(tags []string) []uint16 {
	if len(tags) == 0 {
		return nil
	}
	slots := make([]uint16, len(tags))
	for i, t := range tags {
		slots[i] = slotOf(t)
	}
	return slots
}

// stamp is that of a load which begins now, for somebody who knows m; nil is knowing nothing.
func (m *markers) stamp() stamp {
	if m == nil {
		return stamp{}
	}
	return stamp{m.incarnation, m.n}
}

// dead reports whether a value must not be served. Who knows nothing says so of every value.
func (m *markers) dead(s stamp, slots []uint16) bool {
	if m == nil || s.incarnation != m.incarnation && !weaken.Off(weaken.TagIncarnation) || s.n < m.all {
		return true
	}
	if m.slots == nil {
		return false
	}
	for _, slot := range slots {
		if s.n < m.slots[slot] {
			return true
		}
	}
	return false
}

// marked returns m after one more invalidation: of everything, or of the tags in slots.
func (m *markers) marked(all bool, slots []uint16) *markers { return m.markedAt(m.n+1, all, slots) }

func (m *markers) markedAt(n uint64, all bool, slots []uint16) *markers {
	next := &markers{incarnation: m.incarnation, n: n, all: m.all, slots: m.slots}
	if all {
		next.all, next.slots = n, nil // of what is alive then nothing has an older stamp
		return next
	}
	if len(slots) > 0 {
		next.slots = make([]uint64, markSlots)
		copy(next.slots, m.slots)
		for _, slot := range slots {
			next.slots[slot] = n
		}
	}
	return next
}

// restoreStep is what a restored record's n grows by. It is more than the invalidations can be that its restorer does not know to
// the number, so that no stamp of before is taken for one of after.
const restoreStep = 1 << 32

// covers reports whether all that o kills m kills too, so that m may be what became of o.
func (m *markers) covers(o *markers) bool {
	if m.incarnation != o.incarnation || m.n < o.n || m.all < o.all {
		return false
	}
	for slot, n := range o.slots {
		if n > m.all && n > m.slot(slot) {
			return false
		}
	}
	return true
}

func (m *markers) slot(i int) uint64 {
	if m.slots == nil {
		return 0
	}
	return m.slots[i]
}

// joined returns what kills all that m or o kills. Both are of one incarnation.
func (m *markers) joined(o *markers) *markers {
	switch {
	case m.covers(o):
		return m
	case o.covers(m):
		return o
	}
	j := &markers{incarnation: m.incarnation, n: max(m.n, o.n), all: max(m.all, o.all), slots: make([]uint64, markSlots)}
	for i := range j.slots {
		j.slots[i] = max(m.slot(i), o.slot(i))
	}
	return j
}

// The layout of the body of a record of markers; n and the numbers before it are big endian, the rest are varints:
//
//	magic        2  "sM"
//	version      1
//	incarnation 16
//	n            8
//	all          8
//	count       1+  of slots that have a marker; of each: its distance from the one before, and n minus its marker
//	checksum     8  xxh3 of the key and all of the above
const (
	markersVersion = 1
	markersHead    = 3 + 16 + 8 + 8
	markersSum     = 8
	maxMarkers     = markersHead + 2 + markSlots*(2+10) + markersSum
)

// appendMarkers appends m, bound to the key under which it is stored.
func appendMarkers(dst []byte, m *markers, key string) []byte {
	begin := len(dst)
	dst = append(dst, 's', 'M', markersVersion)
	dst = append(dst, m.incarnation[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.n)
	dst = binary.BigEndian.AppendUint64(dst, m.all)
	count := 0
	for _, n := range m.slots {
		if n > m.all {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	last := 0
	for slot, n := range m.slots {
		if n > m.all {
			dst = binary.AppendUvarint(dst, uint64(slot-last))
			dst = binary.AppendUvarint(dst, m.n-n)
			last = slot
		}
	}
	return binary.BigEndian.AppendUint64(dst, sumOf(dst[begin:], key))
}

// sumOf is the checksum of what stands at a key.
func sumOf(b []byte, key string) uint64 { return xxh3.Hash(append(b[:len(b):len(b)], key...)) }

var errMarkers = errors.New("not a readable record of markers")

// parseMarkers reads what appendMarkers wrote, and nothing else. It allocates at most the slots.
func parseMarkers(b []byte, key string) (*markers, error) {
	if len(b) < markersHead+1+markersSum || len(b) > maxMarkers || b[0] != 's' || b[1] != 'M' || b[2] != markersVersion {
		return nil, errMarkers
	}
	end := len(b) - markersSum
	if binary.BigEndian.Uint64(b[end:]) != sumOf(b[:end], key) {
		return nil, errMarkers
	}
	m := &markers{incarnation: [16]byte(b[3:]), n: binary.BigEndian.Uint64(b[19:]), all: binary.BigEndian.Uint64(b[27:])}
	rest := b[markersHead:end]
	bad := m.n == 0 || m.all > m.n
	number := func() uint64 {
		v, size := binary.Uvarint(rest)
		if size <= 0 {
			bad = true
			return 0
		}
		rest = rest[size:]
		return v
	}
	count := number()
	if bad || count > markSlots {
		return nil, errMarkers
	}
	if count > 0 {
		m.slots = make([]uint64, markSlots)
	}
	slot := uint64(0)
	for i := range count {
		step, ago := number(), number()
		slot += step
		if bad || i > 0 && step == 0 || step >= markSlots || slot >= markSlots || ago >= m.n-m.all {
			return nil, errMarkers
		}
		m.slots[slot] = m.n - ago
	}
	if len(rest) > 0 {
		return nil, errMarkers
	}
	return m, nil
}
