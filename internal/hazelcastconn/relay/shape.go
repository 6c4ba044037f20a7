package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// A cursor walks over the frames of a message as the library does when it decodes them, and notes where that would fail.
// Structures may have more frames at their end than are known here: those of newer members do.
type cursor struct {
	frames []frame
	bad    bool
}

var errShape = errors.New("a message that makes no sense")

func (c *cursor) next() frame {
	if len(c.frames) == 0 {
		c.bad = true
		return frame{flags: end}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f
}

// at reports whether the next frame has a flag. At the end of the message it does, so that loops end.
func (c *cursor) at(flag uint16) bool {
	if len(c.frames) == 0 {
		c.bad = true
	}
	return c.bad || c.frames[0].is(flag)
}

func (c *cursor) expect(flag uint16) {
	if !c.next().is(flag) {
		c.bad = true
	}
}

// content is that of a plain frame of at least n bytes.
func (c *cursor) content(n int) []byte {
	f := c.next()
	if !f.plain() || len(f.content) < n {
		c.bad = true
		return make([]byte, n)
	}
	return f.content
}

func (c *cursor) text() string { return string(c.content(0)) }

func (c *cursor) nullable(read func()) {
	if c.at(null) {
		c.next()
		return
	}
	read()
}

func (c *cursor) list(read func()) {
	c.expect(begin)
	for !c.at(end) {
		read()
	}
	c.next()
}

// structure is a begin, a frame of n bytes, what read reads, and whatever is up to the end.
func (c *cursor) structure(n int, read func(fixed []byte)) {
	c.expect(begin)
	read(c.content(n))
	for depth := 1; depth > 0 && !c.bad; {
		switch f := c.next(); {
		case f.is(begin):
			depth++
		case f.is(end):
			depth--
		}
	}
}

func (c *cursor) address() (addr string) {
	c.structure(4, func(port []byte) {
		n := int32(binary.LittleEndian.Uint32(port))
		if n < 1 || n > 65535 {
			c.bad = true
		}
		addr = net.JoinHostPort(c.text(), strconv.Itoa(int(n)))
	})
	return addr
}

func (c *cursor) err() error {
	if c.bad {
		return errShape
	}
	return nil
}

// failure checks an error: a list, not empty, of holders, whose first one counts.
func failure(m *message) error {
	c := &cursor{frames: m.frames[1:]}
	n := 0
	c.list(func() {
		n++
		c.structure(4, func([]byte) {
			c.text()                            // the name of the class
			c.nullable(func() { c.content(0) }) // the message
			c.list(func() {                     // the stack trace
				c.structure(4, func([]byte) {
					c.text()
					c.text()
					c.nullable(func() { c.content(0) })
				})
			})
		})
	})
	if n == 0 {
		return errShape
	}
	return c.err()
}

const uuidLen = 17 // a byte that says whether it is null, and two numbers of 8 bytes

// membersView returns the addresses in a list of members.
func membersView(m *message) ([]string, error) {
	if len(m.frames[0].content) < 20 {
		return nil, errShape
	}
	c := &cursor{frames: m.frames[1:]}
	var addrs []string
	c.list(func() {
		c.structure(uuidLen+1, func([]byte) {
			addrs = append(addrs, c.address())
			c.list(func() { c.text(); c.text() }) // attributes
			c.structure(3, func([]byte) {})       // version
			if !c.at(end) {
				c.list(func() {
					c.structure(4, func([]byte) { c.nullable(func() { c.content(0) }) })
					c.address()
				})
			}
		})
	})
	return addrs, c.err()
}

// partitionsView checks a table of the partitions that each member owns: a list of lists, then one frame of owners.
func partitionsView(m *message) error {
	if len(m.frames[0].content) < 20 {
		return errShape
	}
	c := &cursor{frames: m.frames[1:]}
	lists := 0
	c.list(func() { c.content(0); lists++ })
	if owners := len(c.content(0)) / uuidLen; owners > lists {
		return errShape
	}
	return c.err()
}

// authentication is a member's answer to a client that introduces itself.
type authentication struct {
	status  byte
	cluster string // the id of the cluster: another one after all its members were restarted
}

const (
	statusAt     = 13
	partitionsAt = statusAt + 1 + uuidLen + 1
	clusterAt    = partitionsAt + 4
	authLen      = clusterAt + uuidLen + 1

	accepted      = 0
	maxPartitions = 1 << 20
)

func authenticationOf(m *message) (a authentication, err error) {
	fixed := m.frames[0].content
	if len(fixed) < authLen {
		return a, errShape
	}
	a.status = fixed[statusAt]
	c := &cursor{frames: m.frames[1:]}
	address := ""
	c.nullable(func() { address = c.address() })
	c.text() // the member's version
	if a.status == accepted {
		n := int32(binary.LittleEndian.Uint32(fixed[partitionsAt:]))
		c.bad = c.bad || n < 1 || n > maxPartitions || address == ""
		a.cluster = uuid(fixed[clusterAt+1:])
	}
	return a, c.err()
}

// uuid is the text of one, whose 16 bytes are two numbers.
func uuid(b []byte) string {
	return fmt.Sprintf("%016x%016x", binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
}
