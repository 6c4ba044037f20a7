package compression

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A dictionary is known by a hash of its content: one and the same id can never mean two contents, as it could if people
// gave the ids, and as it must not, because a payload and the wrong dictionary make a wrong value and no error.
type dictionary struct {
	id    uint64 // not 0
	s2    *s2.Dict
	write *zstd.Encoder // nil unless it is for writing Zstandard
	read  *zstd.Decoder
}

func newDictionary(content []byte, o Options, forWriting bool) (*dictionary, error) {
	sum := sha256.Sum256(content)
	d := &dictionary{id: max(binary.BigEndian.Uint64(sum[:]), 1), s2: s2.MakeDict(content, nil)}
	if d.s2 == nil {
		return nil, errors.New("s2 does not take it")
	}
	frameID := uint32(d.id)&0x7fffffff | 1<<30 // below 2³¹ and above what is reserved
	var err error
	if forWriting && o.Algorithm == Zstd {
		if d.write, err = newEncoder(zstd.WithEncoderDictRaw(frameID, content)); err != nil {
			return nil, err
		}
	}
	d.read, err = newDecoder(o.MaxSize, zstd.WithDecoderDictRaw(frameID, content))
	return d, err
}

// encoderWindow bounds what an encoder keeps of a long payload to refer to, and so its memory.
const encoderWindow = 1 << 20

// newEncoder makes an encoder for EncodeAll, which may be called concurrently and uses no goroutines. There is no checksum,
// as the body has one or is authenticated, and always the length, which zstdLen needs.
func newEncoder(options ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(options,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(encoderWindow),
	)...)
}

// newDecoder makes a decoder for DecodeAll, which may be called concurrently, uses no goroutines, and never writes
// beyond the capacity that it is given.
func newDecoder(maxSize int, options ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, append(options,
		zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(uint64(maxSize)), zstd.WithDecoderMaxWindow(uint64(maxSize)),
	)...)
}

// zstdLen returns the length that the frame in data declares.
func zstdLen(data []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return 0, err
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize > 1<<31-1 {
		return 0, errCorrupt
	}
	return int(h.FrameContentSize), nil
}
