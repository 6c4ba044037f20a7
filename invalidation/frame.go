package invalidation

import (
	"encoding/binary"
)

// The layout of a frame. Numbers are unsigned varints, strings a number and that many bytes.
//
//	magic    2  "sB"
//	version  1  frameVersion; another one is not read
//	flags    1  none defined; a bit that is set is not understood, and the frame not read
//	node    16  who sent it
//	auth   1+n  length and bytes of an authentication code, seal.go, or of a checksum, checksum.go; length 0 in the first version
//	kind     1  one of those below
//	body        and whatever a later version puts behind it, which is not read
//
// Versions side by side: what a node does not understand must not be passed over. A verb that it does not know costs that cache a
// flush. A kind, a version or a flag that it does not know counts as lost: where the frame stands in the log there is a gap, and
// receivers flush. Fields behind a body must be such that whoever does not read them stays right. testdata holds frames of every
// version there was, which all later ones read.
const (
	frameMagic0, frameMagic1 = 's', 'B'
	frameVersion             = 1
	frameHeader              = 2 + 1 + 1 + 16 + 1 + 1

	frameMessages  = 1 // count, then of each: verb, cache, count of keys, keys
	frameHeartbeat = 2 // number, applied position, count, then of each cache: name, fingerprint; then, if it is told, the bound
	frameHint      = 3 // topic
	frameRegister  = 4 // name of a register that has changed
	maxKind        = 5 // above all
)

// heartbeat is the body of a heartbeat frame. Its own place in the log is the head that it carries.
type heartbeat struct {
	number  uint64   // of its sender, rising
	applied Position // up to where its sender has applied the log
	caches  []fingerprint
	bound   uint64 // for how long its sender may serve local values after it, in milliseconds; 0: it does not tell
}

type fingerprint struct{ name, print string }

func appendHeader(b []byte, node NodeID, kind byte) []byte {
	b = append(b, frameMagic0, frameMagic1, frameVersion, 0)
	b = append(b, node[:]...)
	return append(b, 0, kind)
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func encodeHint(node NodeID, topic string) []byte {
	return appendString(appendHeader(nil, node, frameHint), topic)
}

func encodeRegister(node NodeID, name string) []byte {
	return appendString(appendHeader(nil, node, frameRegister), name)
}

func encodeHeartbeat(node NodeID, h heartbeat) []byte {
	b := appendHeader(nil, node, frameHeartbeat)
	b = binary.AppendUvarint(b, h.number)
	b = append(b, h.applied.Incarnation[:]...)
	b = binary.AppendUvarint(b, h.applied.N)
	b = binary.AppendUvarint(b, uint64(len(h.caches)))
	for _, c := range h.caches {
		b = appendString(appendString(b, c.name), c.print)
	}
	if h.bound > 0 {
		b = binary.AppendUvarint(b, h.bound)
	}
	return b
}

// packer puts messages into as few frames as they fit, and splits those with many keys.
type packer struct {
	node   NodeID
	frames [][]byte

	body  []byte // messages of the frame under construction
	count uint64
}

const maxBody = MaxFrame - frameHeader - sealSize - binary.MaxVarintLen64

// add packs a message that was validated.
func (p *packer) add(m Message) {
	keys := m.Keys
	for {
		room := maxBody - len(p.body) - (1 + 2*binary.MaxVarintLen32 + len(m.Cache))
		n := 0
		for n < len(keys) {
			room -= binary.MaxVarintLen32 + len(keys[n])
			if room < 0 {
				break
			}
			n++
		}
		if room < 0 && n == 0 && p.count > 0 {
			p.flush()
			continue
		}
		p.body = append(p.body, byte(m.Verb))
		p.body = appendString(p.body, m.Cache)
		p.body = binary.AppendUvarint(p.body, uint64(n))
		for _, key := range keys[:n] {
			p.body = appendString(p.body, key)
		}
		p.count++
		if keys = keys[n:]; len(keys) == 0 {
			return
		}
		p.flush()
	}
}

// flush closes the frame under construction.
func (p *packer) flush() {
	if p.count == 0 {
		return
	}
	b := make([]byte, 0, frameHeader+binary.MaxVarintLen64+len(p.body))
	b = binary.AppendUvarint(appendHeader(b, p.node, frameMessages), p.count)
	p.frames = append(p.frames, append(b, p.body...))
	p.body, p.count = p.body[:0], 0
}
