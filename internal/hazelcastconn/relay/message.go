package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A message is a sequence of frames, each of which is its length, header included, in 4 bytes; flags in 2; and content.
// Numbers are little endian, save within values. The content of the first frame begins with type and correlation id.
type message struct {
	raw    []byte  // as it came
	frames []frame // at least one
}

type frame struct {
	flags   uint16
	content []byte // part of raw
}

const (
	headerLen = 6 // of a frame
	typeAt    = 0
	idAt      = 4
	fixedLen  = 13 // of an answer: type, correlation id, number of backups

	unfragmented = 1<<15 | 1<<14
	final        = 1 << 13
	begin        = 1 << 12
	end          = 1 << 11
	null         = 1 << 10
	event        = 1<<9 | 1<<7 // one of these

	// frameCost is what a frame weighs in memory beside its content.
	frameCost = 64

	// MaxFrame is the length of the longest frame: of a record and what is around it.
	MaxFrame = 4<<20 + 64<<10

	step = 64 << 10 // memory is taken as bytes come, not as they are promised
	keep = 1 << 20  // of a buffer, between messages
)

func (m *message) kind() int32 {
	return int32(binary.LittleEndian.Uint32(m.frames[0].content[typeAt:]))
}

func (m *message) id() int64 { return int64(binary.LittleEndian.Uint64(m.frames[0].content[idAt:])) }

func (m *message) isEvent() bool { return m.frames[0].flags&event != 0 }

func (f frame) is(flags uint16) bool { return f.flags&flags != 0 }

// plain reports whether f has content, and is no mark of a structure.
func (f frame) plain() bool { return !f.is(begin | end | null) }

// A reader reads messages. What read returns is valid until the next read.
type reader struct {
	from  io.Reader
	limit int // of what a message may weigh in memory
	m     message
	spans []span // of the frames
}

type span struct {
	flags    uint16
	from, to int // of the content in raw
}

var errLong = errors.New("a longer message than is allowed")

func (r *reader) read() (*message, error) {
	if cap(r.m.raw) > keep {
		r.m.raw, r.m.frames, r.spans = nil, nil, nil
	}
	raw, spans := r.m.raw[:0], r.spans[:0]
	for weight := 0; ; {
		var err error
		at := len(raw)
		if raw, err = r.more(raw, headerLen); err != nil {
			if at == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, err
		}
		length, flags := binary.LittleEndian.Uint32(raw[at:]), binary.LittleEndian.Uint16(raw[at+4:])
		if length < headerLen {
			return nil, fmt.Errorf("a frame of %d bytes, which is less than its header", length)
		}
		if length > MaxFrame {
			return nil, fmt.Errorf("a frame of %d bytes: %w", length, errLong)
		}
		n := int(length) - headerLen
		if weight += frameCost + n; weight > r.limit {
			return nil, fmt.Errorf("a message that takes more than %d bytes: %w", r.limit, errLong)
		}
		if raw, err = r.more(raw, n); err != nil {
			return nil, err
		}
		if at == 0 && (flags&unfragmented != unfragmented || flags&(begin|end|null) != 0 || n < fixedLen) {
			return nil, errors.New("a message without its beginning")
		}
		spans = append(spans, span{flags, at + headerLen, len(raw)})
		if flags&final != 0 {
			break
		}
	}
	frames := r.m.frames[:0]
	for _, s := range spans {
		frames = append(frames, frame{s.flags, raw[s.from:s.to:s.to]})
	}
	r.spans, r.m = spans, message{raw, frames}
	return &r.m, nil
}

// more appends n bytes.
func (r *reader) more(to []byte, n int) ([]byte, error) {
	for n > 0 {
		k := min(n, step)
		at := len(to)
		to = slices.Grow(to, k)[:at+k]
		if _, err := io.ReadFull(r.from, to[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return to, err
		}
		n -= k
	}
	return to, nil
}

// appendFrame appends a frame with content.
func appendFrame[T string | []byte](to []byte, flags uint16, content T) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(headerLen+len(content)))
	to = binary.LittleEndian.AppendUint16(to, flags)
	return append(to, content...)
}
