package memcachedconn

import (
	"bytes"
	"math"
	"net"
	"strconv"
	"time"
)

// past is a deadline that ends reading and writing at once.
var past = time.Unix(1, 0)

// A conn is a connection in the hands of gomemcache. One call uses it at a time.
type conn struct {
	net.Conn          // TLS, if that is in use
	raw      net.Conn // the TCP connection below: closing it never blocks, which that of TLS does

	// From the handshake:
	pool       string  // its name
	mark       string  // value of the pool's item on the server
	nonce, pid string  // of the server
	life       string  // names its incarnation
	roster     *roster // by which it may be used
	tags       map[tenancy]string

	reply       replies
	wrote       bool // the call wrote something
	writeFailed bool // and could not write all
	broken      bool // gomemcache gave it up
}

// says tells what was learned of the server.
func (c *conn) says() string { return c.life + c.mark }

// tag returns what keys begin with that the server owns since then.
func (c *conn) tag(since tenancy) string {
	tag, ok := c.tags[since]
	if !ok {
		if c.tags == nil {
			c.tags = make(map[tenancy]string)
		}
		tag = digest(c.nonce, c.pid, c.pool, since.ID)
		c.tags[since] = tag
	}
	return tag
}

// begin prepares the next call.
func (c *conn) begin(deadline time.Time) error {
	c.wrote, c.writeFailed = false, false
	c.reply.begin(math.MaxInt)
	return c.Conn.SetDeadline(deadline)
}

// sent reports whether the call may have given the server a whole command. A command whose last byte could not be
// written is never obeyed.
func (c *conn) sent() bool { return c.wrote && !c.writeFailed }

// SetDeadline does nothing: gomemcache would give a server that sends one byte now and then a new deadline for each
// item. The call has one deadline.
func (c *conn) SetDeadline(time.Time) error { return nil }

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wrote = true
	if err != nil {
		c.writeFailed = true
	}
	return n, err
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bad := c.reply.feed(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (c *conn) Close() error {
	c.broken = true
	return c.raw.Close()
}

// replies follows the stream of replies and looks at each header before gomemcache does, which allocates whatever length it
// reads there.
type replies struct {
	itemSize int
	values   int    // how many more values may come
	skip     int    // bytes of a value that are still to come, with its line end
	line     []byte // beginning of a line whose end has not come
	refusal  string // the last line that is an error
}

const maxLine = 4096 // gomemcache reads no longer one

func (r *replies) begin(values int) {
	r.values, r.skip, r.line, r.refusal = values, 0, r.line[:0], ""
}

func (r *replies) feed(b []byte) error {
	for len(b) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(b))
			r.skip -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if len(r.line)+max(end, 0) > maxLine || end < 0 && len(r.line)+len(b) > maxLine {
			return errLongLine
		}
		if end < 0 {
			r.line = append(r.line, b...)
			return nil
		}
		line := b[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		if err := r.header(line); err != nil {
			return err
		}
		r.line = r.line[:0]
		b = b[end+1:]
	}
	return nil
}

var (
	valuePrefix = []byte("VALUE ")
	serverError = []byte("SERVER_ERROR")
	clientError = []byte("CLIENT_ERROR")
	plainError  = []byte("ERROR")
)

func (r *replies) header(line []byte) error {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	switch {
	case bytes.HasPrefix(line, valuePrefix):
		return r.value(line)
	case bytes.HasPrefix(line, serverError), bytes.HasPrefix(line, clientError), bytes.Equal(line, plainError):
		r.refusal = string(line)
	}
	return nil
}

// value reads VALUE <key> <flags> <bytes> [<cas>].
func (r *replies) value(line []byte) error {
	if r.values--; r.values < 0 {
		return errManyValues
	}
	var fields [5][]byte
	n := 0
	for f := range bytes.SplitSeq(line, []byte{' '}) {
		if n == len(fields) {
			return errHandshake
		}
		fields[n] = f
		n++
	}
	size, err := strconv.ParseUint(string(fields[3]), 10, 32)
	if err != nil {
		return errHandshake
	}
	if size > uint64(r.itemSize) {
		return errLongValue
	}
	r.skip = int(size) + 2
	return nil
}
