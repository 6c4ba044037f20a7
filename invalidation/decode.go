package invalidation

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errFrame says that bytes are not a frame.
var errFrame = errors.New("not a readable frame")

// errTooNew says that bytes may be a frame of a later version, of which nobody here knows what it asks for.
var errTooNew = errors.New("of a later version")

// content is what a frame holds: one of messages, heartbeat and topic, as kind says.
type content struct {
	node      NodeID
	seal      seal
	kind      byte
	messages  []Message
	heartbeat heartbeat
	topic     string // or the name of a register
}

// decode reads a frame. It never panics, allocates at most a small multiple of the bytes it is given, and refuses what it cannot
// understand; what a later version has put behind a body it leaves alone, and verbs that it does not know it hands on. With a ring
// it looks at nothing before it knows who signed it, and refuses what nobody of the ring has, save for unsigned frames if they are
// to be accepted.
func decode(frame []byte, ring *Keyring, unsigned bool) (content, error) {
	var c content
	if len(frame) > MaxFrame {
		return c, fmt.Errorf("%w: %d bytes", errFrame, len(frame))
	}
	if len(frame) < frameHeader || frame[0] != frameMagic0 || frame[1] != frameMagic1 {
		return c, fmt.Errorf("%w: no header", errFrame)
	}
	if frame[2] != frameVersion || frame[3] != 0 {
		return c, fmt.Errorf("%w: version %d, flags %#x", errTooNew, frame[2], frame[3])
	}
	copy(c.node[:], frame[4:authAt])
	if ring != nil {
		var err error
		if c.seal, err = ring.unseal(frame); err == nil && !c.seal.signed && !unsigned {
			err = fmt.Errorf("%w: not signed", errUnauthenticated)
		}
		if err != nil {
			return content{node: c.node}, err
		}
	}
	if err := checkSum(frame); err != nil {
		return content{node: c.node}, err
	}
	r := reader{rest: frame[authAt:]}
	r.bytes(int(r.byte()))
	c.kind = r.byte()
	switch c.kind {
	case frameMessages:
		c.messages = r.messages(c.node)
	case frameHeartbeat:
		c.heartbeat = r.heartbeat()
	case frameHint:
		c.topic = r.string(MaxKey)
	case frameRegister:
		c.topic = r.string(MaxName)
	default:
		if !r.bad && c.kind != 0 {
			return content{node: c.node}, fmt.Errorf("%w: kind %d", errTooNew, c.kind)
		}
		r.bad = true
	}
	if r.bad {
		return content{node: c.node}, fmt.Errorf("%w: kind %d", errFrame, c.kind)
	}
	return c, nil
}

// reader takes a frame apart. After the first mistake bad is set and everything reads as zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads how many things follow, each of which takes at least least bytes, so that a lie allocates nothing.
func (r *reader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.rest)/least) {
		r.bad, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) string(limit int) string {
	n := r.number()
	if n > uint64(limit) {
		r.bad, r.rest = true, nil
		return ""
	}
	return string(r.bytes(int(n)))
}

func (r *reader) messages(node NodeID) []Message {
	n := r.count(3)
	list := make([]Message, 0, min(n, 1024))
	for i := 0; i < n && !r.bad; i++ {
		m := Message{Verb: Verb(r.byte()), Cache: r.string(MaxName), Node: node}
		keys := r.count(2)
		if m.Verb == 0 || m.Verb.known() && (keys == 0) != (m.Verb == VerbClear) {
			r.bad = true
			break
		}
		if keys > 0 {
			m.Keys = make([]string, 0, keys)
		}
		for k := 0; k < keys && !r.bad; k++ {
			key := r.string(MaxKey)
			r.bad = r.bad || key == ""
			m.Keys = append(m.Keys, key)
		}
		list = append(list, m)
	}
	return list
}

func (r *reader) heartbeat() heartbeat {
	h := heartbeat{number: r.number()}
	copy(h.applied.Incarnation[:], r.bytes(16))
	h.applied.N = r.number()
	n := r.count(2)
	if n > MaxAttachments {
		r.bad = true
		return h
	}
	for i := 0; i < n && !r.bad; i++ {
		h.caches = append(h.caches, fingerprint{name: r.string(MaxName), print: r.string(MaxName)})
	}
	if !r.bad && len(r.rest) > 0 { // older versions do not tell
		h.bound = r.number()
		r.bad = r.bad || h.bound == 0
	}
	return h
}
