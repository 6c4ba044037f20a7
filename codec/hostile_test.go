package codec_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
)

// allocated returns the bytes that f allocates. Nothing else may run meanwhile: no test that uses it is parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// An n-byte payload may cost this much: maps of one entry, in maps, are the worst that Go makes of a byte.
func bound(n int) uint64 { return 64<<10 + 256*uint64(n) }

// attempt decodes b as V and fails t if that costs too much, or if it works.
func attempt[V any](t *testing.T, b []byte) {
	t.Helper()
	c := codec.MessagePack[V]()
	c.Decode([]byte{0xc0}) // fills the library's caches
	var err error
	start := time.Now()
	cost := allocated(func() { _, err = c.Decode(b) })
	if reasonOf(err) == 0 {
		t.Errorf("%.20x as %T: %v", b, *new(V), err)
	}
	if limit := bound(min(len(b), 64)); cost > limit {
		t.Errorf("%.20x as %T allocates %d bytes, limit %d", b, *new(V), cost, limit)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("%.20x as %T took %v", b, *new(V), took)
	}
}

func TestHostileMessagePackCostsNothing(t *testing.T) {
	for _, in := range []string{
		"\xdd\xff\xff\xff\xff\x01",
		"\xdf\xff\xff\xff\xff\x01",
		"\xdf\xff\xff\xff\xff",
		"\xc6\xff\xff\xff\xff",
		"\xdb\xff\xff\xff\xff",
		"\xc9\xff\xff\xff\xff\xff",
		"\x93\xdd\x00\x00\x00\x03\x01\x01\x01",
		strings.Repeat("\x91", 1<<20),
		strings.Repeat("\xdd\xff\xff\xff\xff", 1000),
		// A time, or any extension, where a map is expected: the library takes its body for the map.
		"\xd7\xff\xdf\xff\xff\xff\xff\x00\x00\x00",
		"\xd6\xff\xdf\x7f\xff\xff",
		"\xd8\x05\xdf\x7f\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\xc7\x08\x05\xdf\x7f\xff\xff\xff\x00\x00\x00",
	} {
		attempt[[]int](t, []byte(in))
		attempt[[]product](t, []byte(in))
		attempt[map[string]any](t, []byte(in))
		attempt[map[string]string](t, []byte(in))
		attempt[map[int]int](t, []byte(in))
		attempt[[]byte](t, []byte(in))
		if in[1] != 0xff || in[0] != 0xd6 && in[0] != 0xd7 { // a time is a fine any
			attempt[any](t, []byte(in))
		}
	}
}

func TestNothingMayFollowAMessagePackValue(t *testing.T) {
	for _, in := range []string{"\xc0\xc0", "\x01\xc1", "\xa1ab"} {
		if _, err := codec.MessagePack[any]().Decode([]byte(in)); reasonOf(err) != codec.ReasonHostile {
			t.Errorf("%x: %v", in, err)
		}
	}
}

func TestHostilePayloadInARightEnvelope(t *testing.T) {
	c := codec.MessagePack[[]int]()
	e := codec.Envelope{Codec: c.ID(), Schema: c.Schema(), Payload: []byte("\xdd\xff\xff\xff\xff\x01")}
	_, _, err := codec.Decode(c, mustAppend(t, &e), testSeal)
	if reasonOf(err) != codec.ReasonHostile {
		t.Errorf("%v, want hostile", err)
	}
}

func TestParsingAnEnvelopeAllocatesLittle(t *testing.T) {
	body := mustAppend(t, &codec.Envelope{Tags: make([]string, codec.MaxTags)})
	if cost := allocated(func() { codec.ParseEnvelope(body, testSeal) }); cost > 16*uint64(len(body)) {
		t.Errorf("%d bytes of tags allocate %d", len(body), cost)
	}
	body = mustAppend(t, &codec.Envelope{Payload: bytes.Repeat([]byte("x"), 1<<20)})
	if n := testing.AllocsPerRun(100, func() { codec.ParseEnvelope(body, testSeal) }); n != 0 {
		t.Errorf("a plain envelope takes %v allocations", n)
	}
}
