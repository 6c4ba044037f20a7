package invalidation

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func pack(messages ...Message) [][]byte {
	p := packer{node: NodeID{1, 2, 3}}
	for _, m := range messages {
		p.add(m)
	}
	p.flush()
	return p.frames
}

func TestMessagesSurviveTheWire(t *testing.T) {
	t.Parallel()
	node := NodeID{1, 2, 3}
	want := []Message{
		{Verb: VerbInvalidate, Cache: "a", Keys: []string{"1", strings.Repeat("x", MaxKey)}, Node: node},
		{Verb: VerbClear, Cache: "b", Node: node},
		{Verb: VerbTag, Cache: "a", Keys: []string{"\x00\xff"}, Node: node},
	}
	frames := pack(want...)
	if len(frames) != 1 {
		t.Fatalf("%d frames, want one for all", len(frames))
	}
	c, err := decode(frames[0], nil, true)
	if err != nil || c.node != node || !reflect.DeepEqual(c.messages, want) {
		t.Fatalf("decoded %v, %v", c, err)
	}
}

func TestManyKeysAreSplitIntoFramesWithinTheBound(t *testing.T) {
	t.Parallel()
	var keys []string
	for range 500 {
		keys = append(keys, strings.Repeat("k", 1<<10), strings.Repeat("k", 3))
	}
	keys = append(keys, strings.Repeat("k", MaxKey))
	messages := []Message{{Verb: VerbClear, Cache: "c"}, {Verb: VerbInvalidate, Cache: "c", Keys: keys}, {Verb: VerbClear, Cache: "c"}}
	var got []string
	clears := 0
	for _, frame := range pack(messages...) {
		if len(frame) > MaxFrame {
			t.Errorf("a frame of %d bytes", len(frame))
		}
		c, err := decode(frame, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.messages {
			got = append(got, m.Keys...)
			if m.Verb == VerbClear {
				clears++
			}
		}
	}
	if !reflect.DeepEqual(got, keys) || clears != 2 {
		t.Errorf("%d of %d keys arrived, %d clears", len(got), len(keys), clears)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	good := pack(Message{Verb: VerbInvalidate, Cache: "c", Keys: []string{"k"}})[0]
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	for name, c := range map[string]struct {
		frame []byte
		want  error
	}{
		"nothing": {nil, errFrame}, "magic": {change(0, 'x'), errFrame}, "version": {change(2, 2), errTooNew}, "flags": {change(3, 1), errTooNew},
		"authentication": {change(20, 200), errTooNew}, "kind": {change(21, 9), errTooNew}, "no kind": {change(21, 0), errFrame},
		"no verb": {change(23, 0), errFrame}, "keys with a clear": {change(23, byte(VerbClear)), errFrame},
		"a byte less": {good[:len(good)-1], errFrame}, "too large": {make([]byte, MaxFrame+1), errFrame},
		"many keys": {append(append([]byte(nil), good[:26]...), 0xff, 0xff, 0xff, 0xff, 0x0f), errFrame},
	} {
		if got, err := decode(c.frame, nil, true); !errors.Is(err, c.want) {
			t.Errorf("%s: decoded %v, %v, want %v", name, got, err, c.want)
		}
	}
	for _, m := range []Message{{}, {Verb: VerbClear, Keys: []string{"k"}}, {Verb: VerbTag}, {Verb: VerbInvalidate, Keys: []string{""}},
		{Verb: VerbInvalidate, Keys: []string{strings.Repeat("k", MaxKey+1)}}, {Verb: VerbInvalidate, Keys: make([]string, MaxKeys+1)}} {
		if m.validate() == nil {
			t.Errorf("%v with %d keys may be announced", m.Verb, len(m.Keys))
		}
	}
}

// FuzzFrame: hostile bytes never panic, and what is accepted means the same after another trip.
func FuzzFrame(f *testing.F) {
	f.Add(pack(Message{Verb: VerbInvalidate, Cache: "c", Keys: []string{"k", "l"}}, Message{Verb: VerbClear, Cache: "d"})[0])
	f.Add(encodeHint(NodeID{7}, "topic"))
	f.Add(encodeRegister(NodeID{7}, "pool"))
	f.Add(encodeHeartbeat(NodeID{7}, heartbeat{number: 3, applied: Position{Incarnation{9}, 300}, caches: []fingerprint{{"c", "v1"}}, bound: 3000}))
	f.Add([]byte("sB\x01\x00aaaaaaaaaaaaaaaa\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := decode(frame, nil, true)
		if err != nil {
			return
		}
		var again []byte
		switch c.kind {
		case frameHint:
			again = encodeHint(c.node, c.topic)
		case frameRegister:
			again = encodeRegister(c.node, c.topic)
		case frameHeartbeat:
			again = encodeHeartbeat(c.node, c.heartbeat)
		default:
			p := packer{node: c.node}
			for _, m := range c.messages {
				p.add(m)
			}
			if p.flush(); len(p.frames) != 1 {
				return // none, or longer with the bytes that other numbers take
			}
			again = p.frames[0]
		}
		if d, err := decode(again, nil, true); err != nil || !reflect.DeepEqual(c, d) {
			t.Fatalf("%v became %v, %v", c, d, err)
		}
	})
}
