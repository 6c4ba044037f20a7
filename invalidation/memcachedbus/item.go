package memcachedbus

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/strata-cache/strata/invalidation"
)

// The layout of the items. Numbers are unsigned varints, frames a number and that many bytes. At the end of each is a CRC-32C of
// all before: what a bad cable makes of an item must not be taken for another position.
//
//	log     version 1, incarnation 16, head, count of pages, each: frames in it, id 8; count of frames, frames
//	page    version 1, count of frames, frames
//	hints   version 1, ring 16, number of the last, count of frames, frames
const itemVersion = 1

const (
	// recentBytes is how much the frames in the log's item may take together. All nodes read them at each look; what is older
	// is in pages.
	recentBytes = 8 << 10
	// maxPages is how many pages the log has: it reaches back over at least so many times recentBytes.
	maxPages = 64
	// pageBytes is how much the frames of one page take, at most: one of the longest, or several.
	pageBytes = invalidation.MaxFrame + 1<<10
	// leastItemSize is the item size that the servers must have: one page with its key and overhead.
	leastItemSize = pageBytes + 4<<10

	hintsKept  = 16
	hintsBytes = 16 << 10
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errCorrupt = errors.New("an item of the log cannot be read")
	errNewer   = errors.New("an item of the log has the layout of another version of strata")
)

// A page is what the log's item says of frames that it does not hold itself.
type page struct {
	id     [8]byte
	frames uint64
}

// A log is the log's item: what is at the head, and where the rest is. It does not change once it was read or written.
type log struct {
	of     invalidation.Incarnation
	head   uint64   // position of the last frame
	pages  []page   // the oldest first; they end where recent begins
	recent [][]byte // the last frames
}

// newLog is the beginning of another incarnation.
func newLog() *log {
	l := new(log)
	_, _ = rand.Read(l.of[:]) // never fails
	return l
}

func (l *log) position() invalidation.Position {
	return invalidation.Position{Incarnation: l.of, N: l.head}
}

// add returns the log with frames, and the frames that must become a page first: those in recent, if there is no room. pages are
// those that hold the frames themselves, none if they are to be in recent.
func (l *log) add(frames [][]byte, pages []page) (next *log, older [][]byte) {
	next = &log{of: l.of, head: l.head + uint64(len(frames)), pages: l.pages, recent: l.recent}
	if len(l.recent) > 0 && (len(pages) > 0 || sizeOf(l.recent)+sizeOf(frames) > recentBytes) {
		older, next.recent = l.recent, nil
	}
	if len(pages) == 0 {
		next.recent = append(next.recent[:len(next.recent):len(next.recent)], frames...)
	}
	return next, older
}

// paged returns the log with further pages at the end, without the oldest of too many.
func (l *log) paged(pages ...page) *log {
	next := *l
	next.pages = append(l.pages[:len(l.pages):len(l.pages)], pages...)
	next.pages = next.pages[max(0, len(next.pages)-maxPages):]
	return &next
}

// sizeOf is what frames take in an item.
func sizeOf(frames [][]byte) (size int) {
	for _, frame := range frames {
		size += len(frame) + binary.MaxVarintLen32
	}
	return size
}

func (l *log) encode() []byte {
	b := make([]byte, 0, 64+len(l.pages)*11+sizeOf(l.recent))
	b = append(b, itemVersion)
	b = append(b, l.of[:]...)
	b = binary.AppendUvarint(b, l.head)
	b = binary.AppendUvarint(b, uint64(len(l.pages)))
	for _, p := range l.pages {
		b = append(binary.AppendUvarint(b, p.frames), p.id[:]...)
	}
	return seal(appendFrames(b, l.recent))
}

func decodeLog(value []byte) (*log, error) {
	r, err := unseal(value)
	if err != nil {
		return nil, err
	}
	l := new(log)
	copy(l.of[:], r.take(16))
	l.head = r.number()
	held := uint64(0)
	for range r.count(maxPages) {
		p := page{frames: r.number()}
		copy(p.id[:], r.take(8))
		l.pages = append(l.pages, p)
		if held += p.frames; p.frames == 0 || p.frames > l.head || held > l.head {
			r.bad = true
		}
	}
	l.recent = r.frames()
	if err := r.end(); err != nil {
		return nil, err
	}
	if held+uint64(len(l.recent)) > l.head {
		return nil, errCorrupt
	}
	return l, nil
}

func encodePage(frames [][]byte) []byte {
	return seal(appendFrames([]byte{itemVersion}, frames))
}

func decodePage(value []byte) ([][]byte, error) {
	r, err := unseal(value)
	if err != nil {
		return nil, err
	}
	frames := r.frames()
	return frames, r.end()
}

// hints is the item of hints: the last few.
type hints struct {
	ring   [16]byte // random for each that begins
	last   uint64   // number of the last one
	frames [][]byte
}

func newHints() *hints {
	h := new(hints)
	_, _ = rand.Read(h.ring[:]) // never fails
	return h
}

// add returns the hints with one more, without the oldest of too many.
func (h *hints) add(frame []byte) *hints {
	next := &hints{ring: h.ring, last: h.last + 1, frames: append(h.frames[:len(h.frames):len(h.frames)], frame)}
	for len(next.frames) > hintsKept || sizeOf(next.frames) > hintsBytes && len(next.frames) > 1 {
		next.frames = next.frames[1:]
	}
	return next
}

func (h *hints) encode() []byte {
	b := append([]byte{itemVersion}, h.ring[:]...)
	return seal(appendFrames(binary.AppendUvarint(b, h.last), h.frames))
}

func decodeHints(value []byte) (*hints, error) {
	r, err := unseal(value)
	if err != nil {
		return nil, err
	}
	h := new(hints)
	copy(h.ring[:], r.take(16))
	h.last = r.number()
	h.frames = r.frames()
	if err := r.end(); err != nil || uint64(len(h.frames)) > h.last {
		return nil, errCorrupt
	}
	return h, nil
}

func appendFrames(b []byte, frames [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frames)))
	for _, frame := range frames {
		b = append(binary.AppendUvarint(b, uint64(len(frame))), frame...)
	}
	return b
}

func seal(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

// A reader takes an item apart; what it returns is part of the item. Once something is wrong it returns zeros.
type reader struct {
	rest []byte
	bad  bool
}

// unseal checks the sum and the version of an item.
func unseal(value []byte) (*reader, error) {
	n := len(value) - 4
	if n < 1 || crc32.Checksum(value[:n], castagnoli) != binary.LittleEndian.Uint32(value[n:]) {
		return nil, errCorrupt
	}
	if value[0] != itemVersion {
		return nil, fmt.Errorf("%w: %d, not %d", errNewer, value[0], itemVersion)
	}
	return &reader{rest: value[1:n]}, nil
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads how many of something follow, at most so many.
func (r *reader) count(most int) uint64 {
	n := r.number()
	if n > uint64(most) {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	return n
}

func (r *reader) frames() [][]byte {
	n := r.count(len(r.rest)) // each takes a byte at least
	frames := make([][]byte, 0, min(n, 1024))
	for range n {
		if frames = append(frames, r.take(r.number())); r.bad {
			return nil
		}
	}
	return frames
}

func (r *reader) end() error {
	if r.bad || len(r.rest) > 0 {
		return errCorrupt
	}
	return nil
}
