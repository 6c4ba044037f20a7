package invalidation

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// goldenRing is that of the signed frames in testdata.
func goldenRing(t *testing.T) *Keyring {
	t.Helper()
	k, err := ParseKey("golden", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyring(k)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// golden returns the frames that every version since the first has to read: a name, the bytes, and what they say. New ones are
// added at the end of the file; none is ever changed.
func golden(t *testing.T) (frames [][]byte, names, say []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, "\t", 3)
		frame, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		frames, names, say = append(frames, frame), append(names, fields[0]), append(say, fields[2])
	}
	return frames, names, say
}

// describe says what a frame says, signature first. What later versions add to a frame does not change what is said of old ones.
func describe(c content) string {
	var b strings.Builder
	if c.seal.signed {
		fmt.Fprintf(&b, "sequence %d after %v: ", c.seal.sequence, c.seal.base)
	}
	fmt.Fprintf(&b, "node %v kind %d", c.node, c.kind)
	for _, m := range c.messages {
		fmt.Fprintf(&b, "; %v %q %q", m.Verb, m.Cache, m.Keys)
	}
	if h := c.heartbeat; c.kind == frameHeartbeat {
		fmt.Fprintf(&b, " number %d applied %v", h.number, h.applied)
		for _, f := range h.caches {
			fmt.Fprintf(&b, " %q=%q", f.name, f.print)
		}
		if h.bound > 0 {
			fmt.Fprintf(&b, " bound %d", h.bound)
		}
	}
	if c.topic != "" {
		fmt.Fprintf(&b, " topic %q", c.topic)
	}
	return b.String()
}

func TestFramesOfEveryVersionAreReadForEver(t *testing.T) {
	t.Parallel()
	frames, names, say := golden(t)
	for i, frame := range frames {
		var ring *Keyring
		if strings.HasPrefix(names[i], "signed") {
			ring = goldenRing(t)
		}
		c, err := decode(frame, ring, false)
		if got := describe(c); err != nil || got != say[i] {
			t.Errorf("%s: %v\n%s, want\n%s", names[i], err, got, say[i])
		}
		if ring != nil { // and by who has no key
			if d, err := decode(frame, nil, true); err != nil || !strings.HasSuffix(say[i], describe(d)) {
				t.Errorf("%s, without a key: %v", names[i], err)
			}
		}
	}
	if len(frames) < 10 {
		t.Errorf("%d frames", len(frames))
	}
}

// What a version that is not written yet may send, and what this one does: it never passes it over, and never trips.
func TestWhatALaterVersionSays(t *testing.T) {
	t.Parallel()
	message := pack(Message{Verb: VerbInvalidate, Cache: "c", Keys: []string{"k"}})[0]
	change := func(at int, to byte, more ...byte) []byte {
		b := append(slices.Clone(message), more...)
		b[at] = to
		return b
	}
	for name, c := range map[string]struct {
		frame   []byte
		keys    int      // heard
		flushes []string // of the cache, after the next frame
		drop    string
	}{
		"fields behind the body":        {frame: change(0, 's', 1, 2, 3), keys: 1},
		"a verb":                        {frame: change(23, 77), flushes: []string{FlushVerb}},
		"a verb for another cache":      {frame: slices.Concat(message[:23], []byte{77, 1, 'x', 1, 1, 'k'})},
		"a kind":                        {frame: change(21, 99), flushes: []string{FlushGap}, drop: DropTooNew},
		"a version":                     {frame: change(2, 9), flushes: []string{FlushGap}, drop: DropTooNew},
		"a flag":                        {frame: change(3, 0x80), flushes: []string{FlushGap}, drop: DropTooNew},
		"an authentication of its own":  {frame: slices.Concat(message[:20], []byte{3, 9, 9, 9}, message[21:]), flushes: []string{FlushGap}, drop: DropTooNew},
		"a version of which no more is": {frame: message[:3:3], flushes: []string{FlushGap}, drop: DropUndecodable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &simLog{frames: map[uint64][]byte{}}
			b := newBus(l, nil)
			defer b.cancel()
			h := &versionCache{}
			if _, err := b.Attach("c", "", time.Second, h); err != nil {
				t.Fatal(err)
			}
			var tr tracker
			b.deliver(&tr, Delivery{Kind: Subscribed})
			h.flushes = nil
			l.append(c.frame)
			l.append(encodeRegister(NodeID{1}, "next"))
			for _, d := range l.pending {
				b.deliver(&tr, d)
			}
			if h.keys != c.keys || !slices.Equal(h.flushes, c.flushes) || tr.at != l.head {
				t.Errorf("%d keys, flushes %v, at %v of %v", h.keys, h.flushes, tr.at, l.head)
			}
			if st := b.Stats(); (c.drop != "") != (st.Dropped > 0) || c.drop != "" && st.DroppedBy[c.drop] == 0 {
				t.Errorf("dropped %v, want %q", st.DroppedBy, c.drop)
			}
			b.deliver(&tr, Delivery{Kind: Hint, Frame: c.frame}) // nothing but a count
			if tr.at != l.head || h.keys != c.keys || !slices.Equal(h.flushes, c.flushes) {
				t.Error("as a hint it had an effect")
			}
		})
	}
}

type versionCache struct {
	keys    int
	flushes []string
}

func (c *versionCache) Apply(_ Position, _ bool, m Message) { c.keys += len(m.Keys) }
func (c *versionCache) Flush(reason string)                 { c.flushes = append(c.flushes, reason) }
func (c *versionCache) Trust(time.Time)                     {}

// FuzzSignedFrame: hostile bytes never panic, and what is accepted is what the holder of the key has signed.
func FuzzSignedFrame(f *testing.F) {
	k, err := ParseKey("golden", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		f.Fatal(err)
	}
	ring, err := NewKeyring(k)
	if err != nil {
		f.Fatal(err)
	}
	s := seal{signed: true, sequence: 3, base: Position{Incarnation{9}, 300}}
	plain := [][]byte{pack(Message{Verb: VerbTag, Cache: "c", Keys: []string{"k"}})[0], encodeHint(NodeID{7}, "topic"), encodeRegister(NodeID{7}, "pool"),
		encodeHeartbeat(NodeID{7}, heartbeat{number: 3, applied: Position{Incarnation{9}, 300}, bound: 5})}
	signed := map[string]bool{}
	for _, frame := range plain {
		f.Add(k.seal(frame, s))
		f.Add(frame)
		signed[string(k.seal(frame, s))] = true
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := decode(frame, ring, false)
		if err == nil && (!c.seal.signed || !signed[string(frame)]) {
			t.Fatalf("%x was accepted as %v", frame, c)
		}
		if err != nil && !errors.Is(err, errFrame) && !errors.Is(err, errTooNew) && !errors.Is(err, errUnauthenticated) {
			t.Fatal(err)
		}
	})
}
