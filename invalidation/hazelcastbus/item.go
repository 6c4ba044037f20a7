package hazelcastbus

import (
	"crypto/rand"
	"errors"

	"github.com/strata-cache/strata/invalidation"
)

// An item is what the log's ring buffer holds at a sequence: a version, the incarnation that its publisher took the log for, 8
// random bytes by which it differs from every other item, and the frame. The item that opens an incarnation has no frame.
const (
	itemVersion = 1
	itemID      = 1 + 16 // where the random bytes are
	itemHeader  = itemID + 8
)

var errItem = errors.New("not an item of a log")

func newItem(of invalidation.Incarnation, frame []byte) []byte {
	b := make([]byte, itemHeader, itemHeader+len(frame))
	b[0] = itemVersion
	copy(b[1:], of[:])
	_, _ = rand.Read(b[itemID:itemHeader]) // never fails
	return append(b, frame...)
}

// readItem takes an item apart; the frame is part of it.
func readItem(b []byte) (of invalidation.Incarnation, frame []byte, err error) {
	if len(b) < itemHeader || b[0] != itemVersion {
		return of, nil, errItem
	}
	copy(of[:], b[1:])
	return of, b[itemHeader:], nil
}
