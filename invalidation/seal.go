package invalidation

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
)

// The layout of the authentication code of a frame:
//
//	form      1  sealForm
//	key       4  tag of the key
//	sequence  8  of its node and kind, rising by one, from 1
//	base     24  a position, incarnation and number, that the log had reached when this was signed
//	code     16  HMAC-SHA-256 of all else in the frame, cut short
//
// A position is given to a frame after it was signed, so it cannot be signed itself. The sequence makes each frame count once,
// and the base makes it count in one log only, and only to those who listened already when it was signed, or could have been told.
const (
	sealForm = 1
	codeSize = 16
	sealSize = 1 + 4 + 8 + 16 + 8 + codeSize

	authAt = 20 // where a frame has the length of its authentication code
)

// seal is what a signed frame says of itself. The zero seal is that of a frame which is not signed.
type seal struct {
	signed   bool
	sequence uint64
	base     Position
}

// errUnauthenticated says that bytes may be anybody's.
var errUnauthenticated = errors.New("not authenticated")

// sign returns a copy of a frame that is signed as s says. frame is not signed, as the encoders write it.
func (k Key) seal(frame []byte, s seal) []byte {
	b := make([]byte, 0, len(frame)+sealSize)
	b = append(append(b, frame[:authAt]...), sealSize)
	b = append(append(b, sealForm), k.tag[:]...)
	b = binary.BigEndian.AppendUint64(b, s.sequence)
	b = append(b, s.base.Incarnation[:]...)
	b = binary.BigEndian.AppendUint64(b, s.base.N)
	code := k.sign(b, frame[authAt+1:])
	return append(append(b, code[:]...), frame[authAt+1:]...)
}

// unseal returns what a frame with a readable header says of itself, if a key of the ring has signed it. An unsigned one gives
// the zero seal, and no error.
func (k *Keyring) unseal(frame []byte) (s seal, err error) {
	switch size := int(frame[authAt]); {
	case size == 0, hasSum(frame):
		return s, nil
	case size != sealSize || len(frame) < authAt+1+size || frame[authAt+1] != sealForm:
		return s, fmt.Errorf("%w: no signature of a form that this version knows", errUnauthenticated)
	}
	at := authAt + 2
	key, ok := k.find(tag(frame[at:]))
	if !ok {
		return s, fmt.Errorf("%w: signed under a key that is not in the %v", errUnauthenticated, k)
	}
	end := authAt + 1 + sealSize
	code := key.sign(frame[:end-codeSize], frame[end:])
	if !hmac.Equal(code[:], frame[end-codeSize:end]) {
		return s, fmt.Errorf("%w: not signed under the secret of %v", errUnauthenticated, key)
	}
	r := reader{rest: frame[at+len(tag{}) : end-codeSize]}
	s.signed = true
	s.sequence = binary.BigEndian.Uint64(r.bytes(8))
	copy(s.base.Incarnation[:], r.bytes(len(Incarnation{})))
	s.base.N = binary.BigEndian.Uint64(r.bytes(8))
	return s, nil
}
