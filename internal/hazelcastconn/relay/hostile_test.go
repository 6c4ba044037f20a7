package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

func holder(parts ...frame) []frame {
	return append([]frame{opens, opens, {0, make([]byte, 4)}}, parts...)
}

func memberInfo(host string, port uint32) []frame {
	return []frame{
		opens, {0, make([]byte, uuidLen+1)},
		opens, frame{0, make([]byte, 4)}.port(port), text(host), closes,
		opens, text("attribute"), text("value"), closes,
		opens, {0, []byte{5, 6, 0}}, closes,
		opens, opens, {0, make([]byte, 4)}, nothing, closes, opens, frame{0, make([]byte, 4)}.port(port), text(host), closes, closes,
		closes,
	}
}

func members(infos ...[]frame) []byte {
	all := []frame{opens}
	for _, i := range infos {
		all = append(all, i...)
	}
	return frames(kindMembersView, 9, 1<<9, 20, append(all, closes)...)
}

// What these would do to the library is a panic on one of its goroutines, or memory without an end.
func TestHostileAnswersCutTheConnection(t *testing.T) {
	t.Parallel()
	const id = 5
	for name, bad := range map[string][]byte{
		"a frame shorter than its header":        {3, 0, 0, 0, 0, 0xe0},
		"a later frame shorter than its header":  append(frames(getKind|answerTo, id, 0, 13, nothing)[:headerLen+13], 5, 0, 0, 0, 0, 0x20),
		"a frame of 4 GiB":                       {0xff, 0xff, 0xff, 0xff, 0, 0xe0},
		"a frame a little too long":              append(binary.LittleEndian.AppendUint32(nil, MaxFrame+1), 0, 0xe0),
		"noughts":                                make([]byte, 64),
		"a message without a type":               sequence(frame{unfragmented, nil}),
		"a message that begins in its middle":    sequence(frame{0, make([]byte, 30)}),
		"a first frame that is null":             sequence(frame{unfragmented | null, make([]byte, 30)}),
		"an answer to no request":                frames(getKind|answerTo, id+1, 0, 13, nothing),
		"an answer of another type":              frames(0x010401, id, 0, 13, nothing),
		"a request":                              frames(getKind, id, 0, 13, nothing),
		"an error without a holder":              frames(kindError, id, 0, 13, opens, closes),
		"an error without anything":              frames(kindError, id, 0, 13),
		"an error that ends in its first holder": frames(kindError, id, 0, 13, holder(text("class"))...),
		"an error without a trace":               frames(kindError, id, 0, 13, holder(text("class"), nothing, closes, closes)...),
		"an error without a code":                frames(kindError, id, 0, 13, opens, opens, frame{0, nil}, text("class"), nothing, opens, closes, closes, closes),
		"members without an end":                 frames(kindMembersView, id, 1<<9, 20, append([]frame{opens}, memberInfo("h", 1)...)...),
		"members without a version":              frames(kindMembersView, id, 1<<9, 16, opens, closes),
		"a member without a port":                members(memberInfo("h", 0)),
		"bytes that are not there":               frames(getKind|answerTo, id, 0, 13, value(typeBytes, 10, "short")),
		"bytes of a negative length":             frames(getKind|answerTo, id, 0, 13, value(typeBytes, -2, "")),
		"bytes without a length":                 frames(getKind|answerTo, id, 0, 13, text("\x00\x00\x00\x00\xff\xff\xff\xf4")),
		"more bytes than it says":                frames(getKind|answerTo, id, 0, 13, value(typeString, 1, "ab")),
		"partitions without an owner":            frames(kindPartitionsView, id, 1<<9, 20, opens, closes),
		"more owners than partitions":            frames(kindPartitionsView, id, 1<<9, 20, opens, closes, frame{0, make([]byte, uuidLen)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			srv, _ := member(t, accepted, func(c net.Conn, _ *message) {
				c.Write(bad)
				io.Copy(io.Discard, c)
			})
			r := start(t, options(srv.Addr()))
			if m, err := join(t, r, r.Secret()).ask(t, getKind, id); !errors.Is(err, io.EOF) {
				t.Errorf("the library got %v, %v", m, err)
			}
			if err := r.Failure(began); err == nil || !strings.Contains(err.Error(), srv.Addr()) || !strings.Contains(err.Error(), "cut off") {
				t.Errorf("the reason: %v", err)
			}
		})
	}
}

func TestHonestAnswersPassUnchanged(t *testing.T) {
	t.Parallel()
	const id = 5
	for name, good := range map[string][]byte{
		"nothing":          frames(getKind|answerTo, id, 0, 13, nothing),
		"a value":          frames(getKind|answerTo, id, 0, 13, value(typeBytes, 5, "hello")),
		"an empty value":   frames(getKind|answerTo, id, 0, 13, value(typeBytes, 0, "")),
		"a large value":    frames(getKind|answerTo, id, 0, 13, value(typeBytes, 4<<20, strings.Repeat("x", 4<<20))),
		"keys":             frames(getKind|answerTo, id, 0, 13, opens, value(typeString, 1, "a"), value(typeString, 1, "b"), closes),
		"a number":         frames(getKind|answerTo, id, 0, 17),
		"an error":         frames(kindError, id, 0, 13, holder(text("class"), text("message"), opens, opens, frame{0, make([]byte, 4)}, text("c"), text("m"), nothing, closes, closes, closes, closes)...),
		"a newer error":    frames(kindError, id, 0, 13, holder(text("class"), nothing, opens, closes, opens, text("what"), closes, closes, closes)...),
		"no members":       members(),
		"two members":      members(memberInfo("127.0.0.1", 1), memberInfo("::1", 2)),
		"partitions":       frames(kindPartitionsView, id, 1<<9, 20, opens, frame{0, make([]byte, 8)}, closes, frame{0, make([]byte, uuidLen)}),
		"somebody's event": frames(0x011902, id, 1<<9, 30, text("x")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := member(t, accepted, func(c net.Conn, _ *message) {
				c.Write(good)
				io.Copy(io.Discard, c)
			})
			r := start(t, options(srv.Addr()))
			m, err := join(t, r, r.Secret()).ask(t, getKind, id)
			must(t, err)
			if !bytes.Equal(m.raw, good) {
				t.Errorf("%x became %x", good[:min(99, len(good))], m.raw[:min(99, len(m.raw))])
			}
		})
	}
}

func TestForeignValuesAreReplacedByTheNumberOfTheirType(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		got  frame
		kind int32
	}{
		"2 GiB of integers":             {value(-16, 1<<31-1, ""), -16},
		"a list of 2 G things":          {value(-29, 1<<31-1, ""), -29},
		"a record of an unknown schema": {value(-55, 1, "12345678"), -55},
		"something too short":           {text("abc"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := member(t, accepted, func(c net.Conn, request *message) {
				c.Write(frames(getKind|answerTo, request.id(), 0, 13, opens, tc.got, value(typeBytes, 2, "ok"), closes))
				io.Copy(io.Discard, c)
			})
			r := start(t, options(srv.Addr()))
			m, err := join(t, r, r.Secret()).ask(t, getKind, 5)
			must(t, err)
			if want := frames(getKind|answerTo, 5, 0, 13, opens, frame{0, integer(tc.kind)}, value(typeBytes, 2, "ok"), closes); !bytes.Equal(m.raw, want) {
				t.Errorf("%x\nwant %x", m.raw, want)
			}
		})
	}
}

// What a bus reads of a ring buffer is a list of values, and then the sequences of its entries.
func TestForeignEntriesOfABusAreReplacedToo(t *testing.T) {
	t.Parallel()
	const id = 5
	sequences := frame{0, make([]byte, 2*8)}
	foreign, ours := value(-16, 1<<31-1, ""), value(typeBytes, 2, "ok")
	answer := func(parts ...frame) []byte { return frames(kindReadMany|answerTo, id, 0, 25, parts...) }
	for name, tc := range map[string]struct{ got, want []byte }{
		"entries":                 {answer(opens, ours, ours, closes, sequences), answer(opens, ours, ours, closes, sequences)},
		"a foreign one":           {answer(opens, foreign, ours, closes, sequences), answer(opens, frame{0, integer(-16)}, ours, closes, sequences)},
		"no entries":              {answer(opens, closes, nothing), answer(opens, closes, nothing)},
		"a list without an end":   {answer(opens, ours), nil},
		"no list":                 {answer(ours, sequences), nil},
		"a list in the list":      {answer(opens, opens, foreign, closes, closes, sequences), nil},
		"one marked as nothing":   {answer(opens, frame{null, foreign.content}, closes, sequences), nil},
		"bytes of another length": {answer(opens, value(typeBytes, 10, "short"), closes, sequences), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := member(t, accepted, func(c net.Conn, _ *message) {
				c.Write(tc.got)
				io.Copy(io.Discard, c)
			})
			r := start(t, options(srv.Addr()))
			l := join(t, r, r.Secret())
			_, err := l.read() // the introduction
			must(t, err)
			_, err = l.Write(frames(kindReadMany, id, 0, 24, text(BusPrefix+"bus}:log"), nothing))
			must(t, err)
			m, err := l.read()
			switch {
			case tc.want == nil && !errors.Is(err, io.EOF):
				t.Errorf("the library got %v, %v", m, err)
			case tc.want != nil && (err != nil || !bytes.Equal(m.raw, tc.want)):
				t.Errorf("the library got %v, %v; want %x", m, err, tc.want)
			}
		})
	}
}

// Not parallel: it counts what the process allocates.
func TestMemoryIsTakenAsBytesComeAndUpToALimit(t *testing.T) {
	for name, flood := range map[string]func(c net.Conn){
		"a length and no bytes": func(c net.Conn) {
			c.Write(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint32(nil, MaxFrame), unfragmented))
		},
		"frames without an end": func(c net.Conn) {
			b := frames(getKind|answerTo, 5, 0, 13, make([]frame, 1000)...)
			b = b[:len(b)-headerLen] // without the final one
			for range 20_000 {       // or as many as it takes
				if _, err := c.Write(b); err != nil {
					return
				}
				b = b[len(b)-900*headerLen:]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan struct{})
			srv, _ := member(t, accepted, func(c net.Conn, _ *message) {
				flood(c)
				close(sent)
				io.Copy(io.Discard, c)
			})
			o := options(srv.Addr())
			o.MaxReply = 4 << 20
			r := start(t, o)
			l := join(t, r, r.Secret())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			l.SetReadDeadline(time.Now().Add(time.Second))
			if m, err := l.ask(t, getKind, 5); err == nil {
				t.Errorf("the library got %d frames", len(m.frames))
			}
			<-sent
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 20<<20 {
				t.Errorf("it took %d MiB", took>>20)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(frames(kindError, 5, 0, 13, holder(text("class"), nothing, opens, closes, closes, closes)...))
	f.Add(members(memberInfo("127.0.0.1", 1)))
	f.Add(accept(5, accepted))
	f.Add(frames(getKind|answerTo, 5, 0, 13, value(typeBytes, 5, "hello")))
	f.Add(frames(kindReadMany|answerTo, 5, 0, 25, opens, value(typeBytes, 5, "hello"), closes, frame{0, make([]byte, 8)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reader{from: bytes.NewReader(b), limit: 1 << 20}
		g := &guard{mapName: theMap, waiting: map[int64]request{}}
		for {
			m, err := r.read()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.waiting[m.id()] = request{m.kind() &^ answerTo, true}
			g.mu.Unlock()
			if _, err := g.answer(m); err != nil {
				return
			}
			again := &reader{from: bytes.NewReader(m.raw), limit: 1 << 20}
			if _, err := again.read(); err != nil {
				t.Fatalf("what is passed on is no message: %v", err)
			}
		}
	})
}
