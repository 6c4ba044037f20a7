package redisconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
)

// DefaultMaxValue is the longest string that a reply may hold: the largest record that a codec makes, and room for what is
// around it.
const DefaultMaxValue = 64<<20 + 64<<10

const (
	repliesInValues = 8        // a whole reply may be that many times as long as its longest string
	maxReplyLine    = 64 << 10 // the library keeps a line in memory whole
	maxReplyDepth   = 16       // arrays within arrays: the library reads them by recursion
	elementCost     = 64       // bytes that the library allocates for an element before it has come, at most
)

// A replyError says that what came is no reply, or none that anybody may send. It is a net.Error, as the connection is at an
// end.
type replyError struct {
	text string
	sum  bool // no part of the reply is too long, but all together are
}

func (e replyError) Error() string { return "not what a Redis server answers: " + e.text }
func (replyError) Timeout() bool   { return false }
func (replyError) Temporary() bool { return false }

func badReply(format string, args ...any) error {
	return replyError{text: fmt.Sprintf(format, args...)}
}

// TooMuchTogether reports whether a reply was refused for its length as a whole: each part may be had by itself.
func TooMuchTogether(err error) bool {
	var bad replyError
	return errors.As(err, &bad) && bad.sum
}

// guarded returns c with its replies followed: a reply that is malformed, or announces more than maxValue, is an error of
// Read before the library sees it, which would allocate what is announced.
func guarded(c net.Conn, maxValue int) net.Conn {
	g := &guardedConn{Conn: c, replies: replies{maxValue: maxValue}}
	if raw, ok := c.(syscall.Conn); ok {
		return &guardedSocket{guardedConn: g, raw: raw}
	}
	return g
}

// guarding returns dial with its connections guarded.
func guarding(dial dialFunc, maxValue int) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return guarded(c, maxValue), nil
	}
}

type guardedConn struct {
	net.Conn

	replies replies     // of the one goroutine that reads
	heard   atomic.Bool // something came
}

func (c *guardedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	err = c.unheard(err)
	if bad := c.replies.feed(b[:n]); bad != nil {
		c.Conn.Close() // nothing after it can be understood
		return 0, bad
	}
	return n, err
}

func (c *guardedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.unheard(err)
}

// unheard marks an error of a connection on which nothing ever came. The library waits for an answer to its greeting before it
// sends a command, so none was sent.
func (c *guardedConn) unheard(err error) error {
	if err == nil || c.heard.Load() {
		return err
	}
	return &connectError{cause: err}
}

// A guardedSocket is a guardedConn on which the library can see whether an idle connection is still open.
type guardedSocket struct {
	*guardedConn
	raw syscall.Conn
}

func (c *guardedSocket) SyscallConn() (syscall.RawConn, error) { return c.raw.SyscallConn() }

// replies follows the stream of replies in RESP2 and RESP3.
type replies struct {
	maxValue int

	line    []byte             // beginning of a header whose end has not come
	skip    int                // bytes of a string that are still to come
	ending  int                // bytes of its line end that are still to come: 2 and then 1
	open    [maxReplyDepth]int // elements that are still to come, of each array that is open
	depth   int
	cost    int  // of the reply so far
	greeted bool // a reply came whole: the greeting's is the first
	bad     error
}

// feed looks at the next bytes of the stream. After an error it returns that for good.
func (r *replies) feed(b []byte) error {
	for len(b) > 0 && r.bad == nil {
		switch {
		case r.skip > 0:
			n := min(r.skip, len(b))
			r.skip -= n
			b = b[n:]
		case r.ending > 0:
			if b[0] != "\n\r"[r.ending-1] {
				r.bad = badReply("a string is longer than it says")
				break
			}
			b = b[1:]
			if r.ending--; r.ending == 0 {
				r.element()
			}
		default:
			b = r.header(b)
		}
	}
	return r.bad
}

// header takes a line, or as much of it as is there, and returns what follows.
func (r *replies) header(b []byte) []byte {
	end := bytes.IndexByte(b, '\n')
	more := end + 1
	if end < 0 {
		more = len(b)
	}
	if len(r.line)+more > maxReplyLine {
		r.bad = badReply("a line of more than %d bytes", maxReplyLine)
		return nil
	}
	if end < 0 {
		r.line = append(r.line, b...)
		return nil
	}
	line := b[:more]
	if len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		r.bad = badReply("a line %.20q", line)
		return nil
	}
	r.cost += len(line)
	r.bad = r.begin(line[0], line[1:len(line)-2])
	r.line = r.line[:0]
	return b[more:]
}

// begin takes what the header says.
func (r *replies) begin(kind byte, text []byte) error {
	switch kind {
	case '+', '-', ',', '(', '_', '#':
		r.element()
	case ':':
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			return badReply("the number %.20q", text)
		}
		r.element()
	case '$', '!', '=':
		n, err := length(text)
		if err != nil {
			return err
		}
		if n < 0 {
			r.element()
			return nil
		}
		if n > r.maxValue {
			return badReply("a string of %d bytes, and at most %d are allowed", n, r.maxValue)
		}
		if r.cost += n; r.cost > repliesInValues*r.maxValue {
			return r.tooMuch("more than %d bytes in one reply", repliesInValues*r.maxValue)
		}
		r.skip, r.ending = n, 2
	case '*', '~', '>', '%':
		return r.array(kind, text)
	default: // attributes ('|') too: no server sends them, and the library would read them by recursion
		return badReply("a reply that begins with %q", kind)
	}
	return nil
}

// tooMuch is the error of a reply that is too long as a whole. Of a greeting there is no other way to have it.
func (r *replies) tooMuch(format string, args ...any) error {
	return replyError{text: fmt.Sprintf(format, args...), sum: r.greeted}
}

func (r *replies) array(kind byte, text []byte) error {
	n, err := length(text)
	if err != nil {
		return err
	}
	if most := (repliesInValues*r.maxValue - r.cost) / (2 * elementCost); n > most {
		return r.tooMuch("%d elements", n)
	}
	r.cost += max(n, 0) * elementCost
	if kind == '%' {
		n *= 2
	}
	if n <= 0 {
		r.element()
		return nil
	}
	if r.depth == maxReplyDepth {
		return badReply("arrays in arrays, more than %d deep", maxReplyDepth)
	}
	r.open[r.depth] = n
	r.depth++
	return nil
}

// element counts one as complete, and what it completes.
func (r *replies) element() {
	for r.depth > 0 {
		if r.open[r.depth-1]--; r.open[r.depth-1] > 0 {
			return
		}
		r.depth--
	}
	r.cost, r.greeted = 0, true
}

// length reads the length of a string or array, -1 for none.
func length(text []byte) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < -1 || text[0] == '+' {
		return 0, badReply("a length of %.20q", text)
	}
	return n, nil
}
