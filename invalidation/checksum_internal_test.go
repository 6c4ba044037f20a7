package invalidation

import (
	"slices"
	"testing"
)

func TestNoFrameIsReadOfWhichABitWasFlipped(t *testing.T) {
	t.Parallel()
	for _, plain := range [][]byte{
		pack(Message{Verb: VerbInvalidate, Cache: "c", Keys: []string{"k", "l"}})[0], encodeHint(NodeID{7}, "topic"), encodeRegister(NodeID{7}, "pool"),
		encodeHeartbeat(NodeID{7}, heartbeat{number: 3, applied: Position{Incarnation{9}, 300}, caches: []fingerprint{{"c", "v1"}}, bound: 3000}),
	} {
		frame := summed(plain)
		want, err := decode(plain, nil, true)
		if c, err2 := decode(frame, nil, true); err != nil || err2 != nil || describe(c) != describe(want) {
			t.Fatalf("%v, %v; %v, %v", c, err2, want, err)
		}
		for bit := range 8 * len(frame) {
			flipped := slices.Clone(frame)
			flipped[bit/8] ^= 1 << (bit % 8)
			if c, err := decode(flipped, nil, true); err == nil {
				t.Errorf("bit %d: read as %s, was %s", bit, describe(c), describe(want))
			}
		}
	}
}
