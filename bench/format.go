package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/ulikunitz/xz"
)

// A Format is how the keys of a trace are written.
type Format string

const (
	// FormatAuto looks at the beginning of the data: text is FormatLines, anything else FormatCache2k.
	FormatAuto Format = ""

	// FormatCache2k is that of the cache2k benchmarks: big-endian 32-bit integers, one for each access.
	FormatCache2k Format = "cache2k"

	// FormatLines is one key a line. Empty lines are skipped, and a carriage return before the end of a line.
	FormatLines Format = "lines"
)

// maxLine is how long a key may be.
const maxLine = 64 << 10

// sniffLen is how much of the data decides about their format.
const sniffLen = 4096

// decompress returns what r holds, decompressed if it begins as a gzip or xz file does.
func decompress(r *bufio.Reader) (*bufio.Reader, error) {
	head, err := r.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", truncated(err))
		}
		return bufio.NewReaderSize(z, 64<<10), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		// The dictionary that a file asks for is what it costs to read it.
		z, err := xz.ReaderConfig{DictCap: 1 << 16}.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("xz: %w", truncated(err))
		}
		return bufio.NewReaderSize(z, 64<<10), nil
	}
	return r, nil
}

// truncated turns the end of a file where more must follow into io.ErrUnexpectedEOF.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readKeys calls add for each key in r and returns how far it came.
func readKeys(r *bufio.Reader, format Format, add func(key []byte) error) (offset int64, err error) {
	if format == FormatAuto {
		head, err := r.Peek(sniffLen)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("decompress: %w", err)
		}
		format = FormatCache2k
		if isText(head) {
			format = FormatLines
		}
	}
	switch format {
	case FormatCache2k:
		return readCache2k(r, add)
	case FormatLines:
		return readLines(r, add)
	}
	return 0, fmt.Errorf("unknown format %q; known: %s, %s", format, FormatCache2k, FormatLines)
}

// isText reports whether b, the beginning of some data, reads as text. Integers below 2^24 have a zero byte.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			return len(b) < utf8.UTFMax && !utf8.FullRune(b) // the rest of it lies beyond what was looked at
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			return false
		}
		b = b[n:]
	}
	return true
}

func readCache2k(r *bufio.Reader, add func([]byte) error) (offset int64, err error) {
	var b [4]byte
	key := make([]byte, 0, 16)
	for {
		n, err := io.ReadFull(r, b[:])
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return offset, nil
		case errors.Is(err, io.ErrUnexpectedEOF) && n > 0:
			return offset, fmt.Errorf("%d bytes where an integer of 4 begins: %w", n, io.ErrUnexpectedEOF)
		case err != nil:
			return offset, fmt.Errorf("decompress: %w", err)
		}
		key = strconv.AppendInt(key[:0], int64(int32(binary.BigEndian.Uint32(b[:]))), 10)
		if err := add(key); err != nil {
			return offset, err
		}
		offset += 4
	}
}

func readLines(r *bufio.Reader, add func([]byte) error) (offset int64, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine+1)
	var taken int
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, line, err := bufio.ScanLines(data, atEOF)
		taken = n
		return n, line, err
	})
	for s.Scan() {
		line := s.Bytes()
		if len(line) > 0 {
			if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
				return offset, fmt.Errorf("%w: a line that is not text", ErrMalformed)
			}
			if err := add(line); err != nil {
				return offset, err
			}
		}
		offset += int64(taken)
	}
	err = s.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("%w: a line of more than %d bytes", ErrMalformed, maxLine)
	case err != nil:
		err = fmt.Errorf("decompress: %w", err)
	}
	return offset, err
}
