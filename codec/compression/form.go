package compression

import (
	"encoding/binary"

	"github.com/strata-cache/strata/codec"
)

// A compressed payload begins with its algorithm, and, if withDictionary is set in that byte, with the 8 bytes of the
// dictionary's id. The algorithm's own format follows, which declares the length: an S2 block, or a Zstandard frame.
const (
	withDictionary = 0x80
	idLen          = 8
)

func appendForm(dst []byte, a Algorithm, d *dictionary) []byte {
	if d == nil {
		return append(dst, byte(a))
	}
	return binary.BigEndian.AppendUint64(append(dst, byte(a)|withDictionary), d.id)
}

// parseForm returns what appendForm wrote, and what follows it. The id is 0 if there is no dictionary.
func parseForm(b []byte) (a Algorithm, id uint64, data []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errCorrupt
	}
	a, data = Algorithm(b[0]&^withDictionary), b[1:]
	if b[0]&withDictionary == 0 {
		return a, 0, data, nil
	}
	if len(data) < idLen {
		return 0, 0, nil, errCorrupt
	}
	if id = binary.BigEndian.Uint64(data); id == 0 {
		return 0, 0, nil, fail(codec.ReasonHostile, "a dictionary that is none")
	}
	return a, id, data[idLen:], nil
}
