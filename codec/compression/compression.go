package compression

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/strata-cache/strata/codec"
)

// A Compressor is a [codec.Compressor]. It is safe for concurrent use, starts no goroutine, and needs no Close.
type Compressor struct {
	opts         Options
	dictionaries []*dictionary          // those of opts, in order
	known        map[uint64]*dictionary // by id
	write        *zstd.Encoder          // nil: S2 is written
	read         *zstd.Decoder          // knows no dictionary
}

// New makes a Compressor. It copies nothing of o's dictionaries, which must not be changed.
func New(o *Options) (*Compressor, error) {
	c := &Compressor{opts: o.withDefaults(), known: map[uint64]*dictionary{}}
	if err := c.opts.validate(); err != nil {
		return nil, fmt.Errorf("compression: new: %w", err)
	}
	var err error
	if c.opts.Algorithm == Zstd {
		if c.write, err = newEncoder(); err != nil {
			return nil, fmt.Errorf("compression: new: %w", err)
		}
	}
	if c.read, err = newDecoder(c.opts.MaxSize); err != nil {
		return nil, fmt.Errorf("compression: new: %w", err)
	}
	for i, content := range c.opts.Dictionaries {
		d, err := newDictionary(content, c.opts, i == 0)
		if err != nil {
			return nil, fmt.Errorf("compression: new: Dictionaries[%d]: %w", i, err)
		}
		if c.known[d.id] != nil {
			return nil, fmt.Errorf("compression: new: Dictionaries[%d]: is there twice", i)
		}
		c.dictionaries, c.known[d.id] = append(c.dictionaries, d), d
	}
	return c, nil
}

// String says how payloads are written.
func (c *Compressor) String() string {
	return fmt.Sprintf("%v from %d bytes, %d dictionaries", c.opts.Algorithm, c.opts.Threshold, len(c.dictionaries))
}

// Compress implements [codec.Compressor]. It reports false for a payload shorter than Threshold or longer than MaxSize, and
// for one that would not become shorter by an eighth: what is saved then is not worth decompressing it.
func (c *Compressor) Compress(dst, payload []byte) ([]byte, bool) {
	if len(payload) < c.opts.Threshold || len(payload) > c.opts.MaxSize {
		return dst, false
	}
	start := len(dst)
	var d *dictionary
	if len(c.dictionaries) > 0 && len(payload) <= maxWithDictionary {
		d = c.dictionaries[0]
	}
	dst = appendForm(dst, c.opts.Algorithm, d)
	if c.opts.Algorithm == Zstd {
		dst = c.encoder(d).EncodeAll(payload, dst)
	} else {
		dst = appendS2(dst, payload, d)
	}
	return dst, len(dst)-start <= len(payload)-len(payload)/8
}

func (c *Compressor) encoder(d *dictionary) *zstd.Encoder {
	if d != nil {
		return d.write
	}
	return c.write
}

// Decompress implements [codec.Compressor]. It allocates what the payload declares as its length, if that is within
// MaxSize, and no more.
func (c *Compressor) Decompress(compressed []byte) ([]byte, error) {
	algorithm, id, data, err := parseForm(compressed)
	if err != nil {
		return nil, err
	}
	var d *dictionary
	if id != 0 {
		if d = c.known[id]; d == nil {
			return nil, fail(codec.ReasonCompression, "compressed with a dictionary that is not known here")
		}
	}
	var size int
	switch algorithm {
	case S2:
		size, err = s2.DecodedLen(data)
	case Zstd:
		size, err = zstdLen(data)
	default:
		return nil, fail(codec.ReasonCompression, "compressed by an algorithm that is not known here")
	}
	if err != nil {
		return nil, errCorrupt
	}
	if size > c.opts.MaxSize {
		return nil, fail(codec.ReasonTooLarge, "decompressed, the payload would exceed the limit")
	}
	payload := make([]byte, size)
	if algorithm == S2 {
		payload, err = decodeS2(payload, data, d)
	} else {
		payload, err = c.decoder(d).DecodeAll(data, payload[:0])
	}
	if err != nil || len(payload) != size {
		return nil, errCorrupt
	}
	return payload, nil
}

func (c *Compressor) decoder(d *dictionary) *zstd.Decoder {
	if d != nil {
		return d.read
	}
	return c.read
}

func appendS2(dst, payload []byte, d *dictionary) []byte {
	at := len(dst)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(payload)))
	room := dst[at:cap(dst)]
	if d != nil {
		return dst[:at+len(d.s2.Encode(room, payload))]
	}
	return dst[:at+len(s2.Encode(room, payload))]
}

func decodeS2(dst, data []byte, d *dictionary) ([]byte, error) {
	if d != nil {
		return d.s2.Decode(dst, data)
	}
	return s2.Decode(dst, data)
}

var errCorrupt = fail(codec.ReasonCompression, "the compressed payload is corrupt")

func fail(r codec.Reason, detail string) error { return &codec.DecodeError{Reason: r, Detail: detail} }
