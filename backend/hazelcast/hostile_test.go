package hazelcast_test

import (
	"encoding/binary"

	"github.com/strata-cache/strata/backend/backendtest"
)

const kindGetReply = 0x010201

// replies gives each whole reply to a Get to f, which returns what the client gets in its place.
func replies(f func(message []byte) []byte) func(int) func([]byte) []byte {
	return func(int) func([]byte) []byte {
		var held, message []byte
		return func(piece []byte) (out []byte) {
			held = append(held, piece...)
			for len(held) >= 6 {
				n := int(binary.LittleEndian.Uint32(held))
				if len(held) < n {
					break
				}
				final := held[5]&0x20 != 0
				message, held = append(message, held[:n]...), held[n:]
				if !final {
					continue
				}
				if binary.LittleEndian.Uint32(message[6:]) == kindGetReply {
					message = f(message)
				}
				out, message = append(out, message...), nil
			}
			return out
		}
	}
}

// firstFrame is the length of the first frame, behind which an answer to a Get has its value.
func firstFrame(m []byte) int { return int(binary.LittleEndian.Uint32(m)) }

func frame(flags uint16, content string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(6+len(content)))
	return append(binary.LittleEndian.AppendUint16(b, flags), content...)
}

func lies() []backendtest.Lie {
	const final = 1 << 13
	lie := func(name string, f func(m []byte) []byte) backendtest.Lie {
		return backendtest.Lie{Name: name, Rewrite: replies(f), Alloc: 256 << 20} // each new client costs a megabyte or two
	}
	value := func(content string) func(m []byte) []byte {
		return func(m []byte) []byte { return append(m[:firstFrame(m)], frame(final, content)...) }
	}
	return []backendtest.Lie{
		{Name: "another-protocol", Rewrite: func(int) func([]byte) []byte {
			return func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }
		}},
		lie("absurd-length", func(m []byte) []byte { return append(m[:firstFrame(m)], 0xff, 0xff, 0xff, 0x7f, 0, 0x20) }),
		lie("length-less-than-a-header", func(m []byte) []byte { return append(m[:firstFrame(m)], 5, 0, 0, 0, 0, 0x20) }),
		lie("no-type", func([]byte) []byte { return frame(0xc000|final, "") }),
		lie("no-value", func(m []byte) []byte { m[5] |= 0x20; return m[:firstFrame(m)] }),
		lie("another-request", func(m []byte) []byte { m[10] ^= 0x40; return m }),
		lie("another-type", func(m []byte) []byte { m[7] = 0x04; return m }),
		lie("an-empty-error", func(m []byte) []byte { copy(m[6:10], "\x00\x00\x00\x00"); return m }),
		lie("bytes-that-are-not-there", value("\x00\x00\x00\x00\xff\xff\xff\xf4\x7f\xff\xff\xff")),
		lie("parts-without-an-end", func(m []byte) []byte {
			m = m[:firstFrame(m)]
			for len(m) < 2<<20 {
				m = append(m, frame(0, "")...)
			}
			return m
		}),
	}
}
