package redisjournal

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// What scripts store of an entry: lib.lua says what a head is.
const (
	headSize  = 32
	stubSize  = 16 + 1 + 4 // of a body: id, flags, length of the source's key
	flagErase = 1
)

// body is what the server keeps of a write, and no script looks into but for the end of the source's key.
func body(w *journal.Write) []byte {
	b := make([]byte, 0, stubSize+len(w.Source)+len(w.Value))
	b = append(b, w.ID[:]...)
	if w.Delete {
		b = append(b, flagErase)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.Source)))
	b = append(b, w.Source...)
	return append(b, w.Value...)
}

var errEntry = errors.New("an entry is damaged")

// readEntry makes an entry of what is stored. Where there is no head it is what remains of a key.
func readEntry(key, head, body string) (e journal.Entry, err error) {
	e.Key = key
	if len(body) >= stubSize {
		copy(e.ID[:], body)
		e.Delete = body[16]&flagErase != 0
		source := binary.BigEndian.Uint32([]byte(body[17:stubSize]))
		if uint64(source) > uint64(len(body)-stubSize) {
			return e, errEntry
		}
		e.Source = []byte(body[stubSize : stubSize+source])
		if !e.Delete {
			e.Value = []byte(body[stubSize+source:])
		}
	} else if head != "" || body != "" {
		return e, errEntry
	}
	if head == "" {
		return e, nil
	}
	if len(head) < headSize {
		return e, errEntry
	}
	h := []byte(head)
	e.Position = readPosition(head)
	e.Accepted = time.UnixMilli(int64(binary.BigEndian.Uint64(h[8:])))
	e.Merged = int(binary.BigEndian.Uint32(h[16:]))
	e.Attempts = int(binary.BigEndian.Uint32(h[20:]))
	return e, nil
}

// readLetter makes a dead letter of what bury.lua stores.
func readLetter(key, text string) (d journal.DeadLetter, err error) {
	if len(text) < 16 {
		return d, errEntry
	}
	h := []byte(text[:16])
	cause, head := uint64(binary.BigEndian.Uint32(h[8:])), uint64(binary.BigEndian.Uint32(h[12:]))
	rest := text[16:]
	if cause+head > uint64(len(rest)) {
		return d, errEntry
	}
	d.Buried = time.UnixMilli(int64(binary.BigEndian.Uint64(h)))
	d.Cause = rest[:cause]
	d.Entry, err = readEntry(key, rest[cause:cause+head], rest[cause+head:])
	return d, err
}

// word is a position as scripts compare it.
func word(p journal.Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }

func readPosition(head string) journal.Position {
	return journal.Position(binary.BigEndian.Uint64([]byte(head[:8])))
}
