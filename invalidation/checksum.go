package invalidation

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The layout of what a frame that is not signed has in the place of an authentication code. It is no protection from strangers, but
// from whatever changes bytes on their way: a frame whose keys have become others would be applied, and what it said be lost. The
// first version wrote nothing there.
//
//	form  1  sumForm
//	sum   4  CRC-32C of all else in the frame
const (
	sumForm = 2
	sumSize = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// summed returns a copy of a frame with a checksum. frame has nothing in its place, as the encoders write it.
func summed(frame []byte) []byte {
	b := make([]byte, 0, len(frame)+sumSize)
	b = append(append(b, frame[:authAt]...), sumSize, sumForm)
	b = binary.BigEndian.AppendUint32(b, sum(b, frame[authAt+1:]))
	return append(b, frame[authAt+1:]...)
}

// hasSum reports whether a frame with a readable header has a checksum.
func hasSum(frame []byte) bool {
	return frame[authAt] == sumSize && len(frame) > authAt+sumSize && frame[authAt+1] == sumForm
}

// checkSum tells what is wrong with a frame with a readable header. One of the first version, or one that is signed, passes.
func checkSum(frame []byte) error {
	switch size := frame[authAt]; {
	case size == 0, size == sealSize:
		return nil
	case !hasSum(frame):
		return fmt.Errorf("%w: %d bytes of an unknown form before the kind", errTooNew, size)
	}
	end := authAt + 1 + sumSize
	if binary.BigEndian.Uint32(frame[end-4:end]) != sum(frame[:end-4], frame[end:]) {
		return fmt.Errorf("%w: its checksum is another", errFrame)
	}
	return nil
}

func sum(head, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, rest)
}
