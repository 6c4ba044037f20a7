package filejournal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// A record is an entry in the file: its version, a checksum of its place and the rest, and the rest, in which lengths are varints:
//
//	1 | CRC-32C, 4 | flags | id, 16 | accepted, ms, 8 | merged | key, length first | source, length first | …
//	of a dead letter: | buried, ms, 8 | attempts | cause, length first | …
//	| value
const (
	recordVersion = 1
	recordHead    = 5
	flagDelete    = 1
)

var table = crc32.MakeTable(crc32.Castagnoli)

// place is the key of a record in its bucket, and before it of what kind it is.
type place [9]byte

const (
	ofDead    = 'd'
	ofPending = 'p'
)

func placeOf(kind byte, at journal.Position) (p place) {
	p[0] = kind
	binary.BigEndian.PutUint64(p[1:], uint64(at))
	return p
}

// count is the place of what a queue counts. It comes after all others, where every commit writes.
var count = placeOf(ofPending, math.MaxUint64)

func checksum(p place, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(p[:], table), table, rest)
}

func encode(p place, e *journal.Entry, d *journal.DeadLetter) []byte {
	b := make([]byte, recordHead, recordHead+64+len(e.Key)+len(e.Source)+len(e.Value))
	b[0] = recordVersion
	var flags byte
	if e.Delete {
		flags |= flagDelete
	}
	b = append(append(b, flags), e.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Accepted.UnixMilli()))
	b = binary.AppendUvarint(b, uint64(e.Merged))
	b = append(binary.AppendUvarint(b, uint64(len(e.Key))), e.Key...)
	b = append(binary.AppendUvarint(b, uint64(len(e.Source))), e.Source...)
	if d != nil {
		b = binary.BigEndian.AppendUint64(b, uint64(d.Buried.UnixMilli()))
		b = binary.AppendUvarint(b, uint64(e.Attempts))
		b = append(binary.AppendUvarint(b, uint64(len(d.Cause))), d.Cause...)
	}
	b = append(b, e.Value...)
	binary.BigEndian.PutUint32(b[1:], checksum(p, b[recordHead:]))
	return b
}

var (
	errVersion = errors.New("of a version that this one does not know")
	errDamaged = errors.New("damaged")
)

// decode reads a record. What it returns does not share its bytes.
func decode(p place, b []byte) (journal.DeadLetter, error) {
	var d journal.DeadLetter
	switch {
	case len(b) < recordHead:
		return d, errDamaged
	case b[0] != recordVersion:
		return d, errVersion
	case checksum(p, b[recordHead:]) != binary.BigEndian.Uint32(b[1:]):
		return d, errDamaged
	}
	r := reader{b: b[recordHead:]}
	d.Position = journal.Position(binary.BigEndian.Uint64(p[1:]))
	d.Delete = r.take(1)[0]&flagDelete != 0
	copy(d.ID[:], r.take(16))
	d.Accepted = r.time()
	d.Merged = int(r.varint())
	d.Key = string(r.bytes())
	d.Source = append([]byte(nil), r.bytes()...)
	if p[0] == ofDead {
		d.Buried = r.time()
		d.Attempts = int(r.varint())
		d.Cause = string(r.bytes())
	}
	d.Value = append([]byte(nil), r.b...)
	if r.short {
		return d, errDamaged
	}
	return d, nil
}

// A reader reads fields, and zeros where there is nothing more.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if uint64(len(r.b)) < n {
		r.b, r.short = nil, true
		return make([]byte, min(n, 16))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(r.take(8))))
}

func (r *reader) varint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.varint()) }
