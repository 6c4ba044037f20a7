package codec

import "encoding/binary"

// MaxDepth is how deep arrays and maps may nest in MessagePack. Every level costs a decoder stack.
const MaxDepth = 256

// internedString is the library's own extension type for strings that refer to earlier ones. Reading one needs what
// came before it, and hides lengths from the scan: it is refused.
const internedString = 0x80

// A scanner walks one MessagePack value without making anything of it, and so establishes what makes it safe to hand
// the value to a library that believes what it reads: that every element and byte that is declared is there. The sum of
// all declared lengths is then at most the number of bytes.
type scanner struct {
	b      []byte
	pos    int
	opaque []span // the bodies of extensions, in order
}

// A span is a half-open range of offsets.
type span struct{ start, end int }

// scan checks that b is exactly one value.
func (s *scanner) scan() error {
	if len(s.b) > MaxBody {
		return fail(ReasonTooLarge, "the payload exceeds the limit")
	}
	if err := s.values(1, 0); err != nil {
		return err
	}
	if s.pos != len(s.b) {
		return fail(ReasonHostile, "bytes follow the value")
	}
	return nil
}

// values walks n values. It ends as soon as the bytes do, so its work is bounded by them, whatever n is.
func (s *scanner) values(n uint64, depth int) error {
	for ; n > 0; n-- {
		if s.pos == len(s.b) {
			return fail(ReasonTruncated, "the payload ends before its last value")
		}
		c := s.b[s.pos]
		s.pos++
		if err := s.value(c, depth); err != nil {
			return err
		}
	}
	return nil
}

// value walks what follows the first byte of a value.
func (s *scanner) value(c byte, depth int) error {
	switch {
	case c <= 0x7f, c >= 0xe0: // small integers
		return nil
	case c <= 0x8f:
		return s.children(2*uint64(c&0x0f), depth)
	case c <= 0x9f:
		return s.children(uint64(c&0x0f), depth)
	case c <= 0xbf:
		return s.skip(uint64(c & 0x1f))
	}
	switch c {
	case 0xc0, 0xc2, 0xc3: // nil, false, true
		return nil
	case 0xcc, 0xd0:
		return s.skip(1)
	case 0xcd, 0xd1:
		return s.skip(2)
	case 0xca, 0xce, 0xd2:
		return s.skip(4)
	case 0xcb, 0xcf, 0xd3:
		return s.skip(8)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return s.extension(1 << (c - 0xd4))
	case 0xc1:
		return fail(ReasonHostile, "a byte that no value begins with")
	}

	// The rest declare a length of 1, 2 or 4 bytes.
	n, err := s.length(c)
	if err != nil {
		return err
	}
	switch c {
	case 0xdc, 0xdd:
		return s.children(n, depth)
	case 0xde, 0xdf:
		return s.children(2*n, depth)
	case 0xc7, 0xc8, 0xc9:
		return s.extension(n)
	}
	return s.skip(n) // bin and str
}

// length reads the length that follows c.
func (s *scanner) length(c byte) (uint64, error) {
	width := 4
	switch c {
	case 0xc4, 0xc7, 0xd9:
		width = 1
	case 0xc5, 0xc8, 0xda, 0xdc, 0xde:
		width = 2
	}
	if len(s.b)-s.pos < width {
		return 0, fail(ReasonTruncated, "the payload ends within a length")
	}
	at := s.b[s.pos:]
	s.pos += width
	switch width {
	case 1:
		return uint64(at[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(at)), nil
	}
	return uint64(binary.BigEndian.Uint32(at)), nil
}

func (s *scanner) skip(n uint64) error {
	if n > uint64(len(s.b)-s.pos) {
		return fail(ReasonHostile, "a length beyond the end of the payload")
	}
	s.pos += int(n)
	return nil
}

func (s *scanner) children(n uint64, depth int) error {
	if n > uint64(len(s.b)-s.pos) { // each takes a byte at least
		return fail(ReasonHostile, "more elements than bytes")
	}
	if n == 0 {
		return nil
	}
	if depth == MaxDepth {
		return fail(ReasonHostile, "arrays and maps nest too deep")
	}
	return s.values(n, depth+1)
}

// extension walks an extension's type and its body of n bytes.
func (s *scanner) extension(n uint64) error {
	if s.pos == len(s.b) {
		return fail(ReasonTruncated, "the payload ends within an extension")
	}
	kind := s.b[s.pos]
	s.pos++
	if kind == internedString || n == 0 {
		return fail(ReasonHostile, "an interned string or an empty extension")
	}
	start := s.pos
	if err := s.skip(n); err != nil {
		return err
	}
	s.opaque = append(s.opaque, span{start, s.pos})
	return nil
}
