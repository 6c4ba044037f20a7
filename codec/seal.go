package codec

import "github.com/zeebo/xxh3"

// A Seal is where a body belongs: the parts of its record that the checksum covers besides the body. They are those of
// the record's header, save its flags and expiry, which a backend may change without knowing the body.
//
// A body under another seal does not parse, so a record whose header was damaged, or that a backend returns for another
// key, is a miss and not somebody else's value. The checksum finds accidents; it is no signature.
type Seal struct {
	Key     string
	Version byte
	Kind    byte
	Token   [16]byte
}

// sum returns the checksum of body under s. The context has a fixed part and then the key, so no two seals share one.
func (s Seal) sum(body []byte) uint64 {
	var room [256]byte
	context := append(room[:0], s.Version, s.Kind)
	context = append(context, s.Token[:]...)
	context = append(context, s.Key...)
	return xxh3.HashSeed(body, xxh3.Hash(context))
}
