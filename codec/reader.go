package codec

import (
	"errors"
	"io"
)

var errOpaque = errors.New("the body of an extension read as values")

// A reader feeds a scanned value to the library, and keeps the library to what the scan saw.
//
// The library reads codes byte by byte and bodies in one piece. Where it expects a map and finds an extension it steps
// over the extension's header and takes the body for the map, lengths included, which the scan never saw as lengths: a
// time is enough to make it allocate gigabytes. So the body of an extension can be read in one piece only.
type reader struct {
	b      []byte
	pos    int
	opaque []span // where no code may be read, in order
	next   int    // the first of opaque that does not end before pos
}

func (r *reader) ReadByte() (byte, error) {
	if r.pos >= len(r.b) {
		return 0, io.ErrUnexpectedEOF
	}
	for r.next < len(r.opaque) && r.opaque[r.next].end <= r.pos {
		r.next++
	}
	if r.next < len(r.opaque) && r.pos >= r.opaque[r.next].start {
		return 0, errOpaque
	}
	c := r.b[r.pos]
	r.pos++
	return c, nil
}

// UnreadByte takes back the byte of a ReadByte. A ReadByte that succeeded began at or behind the end of every span that
// next has passed, so next still holds.
func (r *reader) UnreadByte() error {
	if r.pos == 0 {
		return errors.New("nothing to unread")
	}
	r.pos--
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.pos >= len(r.b) {
		return 0, io.EOF
	}
	n := copy(p, r.b[r.pos:])
	r.pos += n
	return n, nil
}
