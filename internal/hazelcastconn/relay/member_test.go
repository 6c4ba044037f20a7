package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/internal/fault/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The messages of these tests are made of the same parts as those of the package: what a real member sends is tested by
// package hazelcastconn.

const (
	patience = 30 * time.Second
	theMap   = "strata"
	getKind  = 0x010200
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// frames makes a message whose fixed part has n bytes.
func frames(kind int32, id int64, flags uint16, n int, rest ...frame) []byte {
	fixed := make([]byte, n)
	if n >= 12 {
		binary.LittleEndian.PutUint32(fixed, uint32(kind))
		binary.LittleEndian.PutUint64(fixed[idAt:], uint64(id))
	}
	return sequence(append([]frame{{unfragmented | flags, fixed}}, rest...)...)
}

func sequence(all ...frame) []byte {
	var b []byte
	for i, f := range all {
		if i == len(all)-1 {
			f.flags |= final
		}
		b = appendFrame(b, f.flags, f.content)
	}
	return b
}

func text(s string) frame { return frame{0, []byte(s)} }

var opens, closes, nothing = frame{flags: begin}, frame{flags: end}, frame{flags: null}

func value(kind int32, length int, content string) frame {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(kind))
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return frame{0, append(b, content...)}
}

func accept(id int64, status byte) []byte {
	fixed := make([]byte, authLen)
	binary.LittleEndian.PutUint32(fixed, kindAuthentication|answerTo)
	binary.LittleEndian.PutUint64(fixed[idAt:], uint64(id))
	fixed[statusAt] = status
	fixed[partitionsAt] = 7
	fixed[clusterAt+1] = 0xab
	return sequence(frame{unfragmented, fixed}, opens, frame{0, make([]byte, 4)}.port(5701), text("127.0.0.1"), closes, text("5.6.0"))
}

func (f frame) port(n uint32) frame {
	binary.LittleEndian.PutUint32(f.content, n)
	return f
}

// member starts a member that lets everybody in and answers the first request by what answer says.
func member(t testing.TB, status byte, answer func(c net.Conn, request *message)) (*wire.Server, *bytes.Buffer) {
	var hello bytes.Buffer
	s, err := wire.Listen(func(c net.Conn) {
		r := &reader{from: c, limit: 1 << 20}
		if _, err := io.ReadFull(c, make([]byte, len(protocol))); err != nil {
			return
		}
		m, err := r.read()
		if err != nil {
			return
		}
		hello.Write(m.raw)
		c.Write(accept(m.id(), status))
		if m, err = r.read(); err == nil {
			answer(c, m)
		}
	})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s, &hello
}

func options(seeds ...string) *Options {
	return &Options{
		Seeds: seeds, Cluster: "dev", Map: theMap,
		Dial: patience, Greet: patience, Stall: patience, Silence: patience, MaxReply: 2 * MaxFrame,
	}
}

func start(t testing.TB, o *Options) *Relay {
	t.Helper()
	r, err := New(o)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// A library is what dials a relay.
type library struct {
	net.Conn
	*reader
}

// join introduces itself with a label.
func join(t testing.TB, r *Relay, label string) *library {
	t.Helper()
	c, err := net.Dial("tcp", r.Nodes()[0].Relay)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	hello := frames(kindAuthentication, 1, 0, 34, text("dev"), nothing, nothing, text("GOO"), text("1"), text("n"), opens, text(label), closes)
	_, err = c.Write(append([]byte(protocol), hello...))
	must(t, err)
	return &library{c, &reader{from: c, limit: 64 << 20}}
}

// ask sends a request of the map of strata and returns what comes back.
func (l *library) ask(t testing.TB, kind int32, id int64) (*message, error) {
	t.Helper()
	if m, err := l.read(); err != nil || m.kind() != kindAuthentication|answerTo {
		t.Fatalf("the introduction: %v", err)
	}
	_, err := l.Write(frames(kind, id, 0, 24, text(theMap), value(typeString, 1, "k")))
	must(t, err)
	return l.read()
}
