package memcachedbus

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

func sampleLog() *log {
	l, _ := newLog().add([][]byte{[]byte("one"), {}, {0xff, 0}}, nil)
	l.head += 100
	return l.paged(page{id: [8]byte{1}, frames: 7}, page{id: [8]byte{2}, frames: 300})
}

func TestItemsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	l := sampleLog()
	l.head += 1 << 40
	if got, err := decodeLog(l.encode()); err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("the log %+v came back as %+v, %v", l, got, err)
	}
	h := newHints()
	for range 3 * hintsKept {
		h = h.add([]byte("hint"))
	}
	if got, err := decodeHints(h.encode()); err != nil || !reflect.DeepEqual(got, h) || len(h.frames) != hintsKept {
		t.Errorf("the hints %+v came back as %+v, %v", h, got, err)
	}
	if h = h.add(bytes.Repeat([]byte{1}, hintsBytes-10)); len(h.frames) != 1 {
		t.Errorf("%d hints beside a long one", len(h.frames))
	}
}

// A bad cable must not make another position of one.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	t.Parallel()
	l := sampleLog()
	l.head += 1 << 20
	value := l.encode()
	for i := range 8 * len(value) {
		flipped := bytes.Clone(value)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := decodeLog(flipped); !errors.Is(err, errCorrupt) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

func FuzzItems(f *testing.F) {
	f.Add(sampleLog().encode(), false)
	f.Add(encodePage([][]byte{[]byte("a"), {}}), true)
	f.Add(newHints().add([]byte("h")).encode(), true)
	f.Fuzz(func(t *testing.T, value []byte, sealed bool) {
		if !sealed { // the sum would keep everything from the parser
			value = seal(append([]byte{itemVersion}, value...))
		}
		if l, err := decodeLog(value); err == nil {
			again, err := decodeLog(l.encode())
			if err != nil || !reflect.DeepEqual(again, l) {
				t.Errorf("%+v is not what it encodes to: %v", l, err)
			}
		}
		_, _ = decodePage(value)
		_, _ = decodeHints(value)
	})
}

// An item that cannot be read is replaced, by one node, and is another incarnation for all.
func TestAnUnreadableLogIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	a, b := open(t, url, o), open(t, url, o)
	at := transporttest.Subscribed(t, a)
	transporttest.Subscribed(t, b)
	transporttest.Publish(t, a, "before")
	onServer(t, a, a.names.log, func(s *memcachedconn.Session, key string) error {
		return s.Client().Set(&memcache.Item{Key: key, Value: []byte("junk")})
	})
	headA, headB := transporttest.Anew(t, a), transporttest.Anew(t, b)
	if headA != headB || headA.Incarnation == at.Incarnation {
		t.Errorf("subscribed at %v and %v, after %v", headA, headB, at)
	}
	transporttest.Publish(t, a, "after")
	transporttest.WantFrames(t, b, headB, "after")
}

// Hints that cannot be read are no reason to have none.
func TestUnreadableHintsAreReplaced(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	a := open(t, url, o)
	transporttest.Subscribed(t, a)
	onServer(t, a, a.names.hints, func(s *memcachedconn.Session, key string) error {
		return s.Client().Set(&memcache.Item{Key: key, Value: []byte("junk")})
	})
	if err := a.Hint(t.Context(), []byte("look")); err != nil {
		t.Fatal(err)
	}
	if d := transporttest.Receive(t, a); d.Kind != invalidation.Hint || string(d.Frame) != "look" {
		t.Errorf("got %+v", d)
	}
	if err := a.Hint(t.Context(), make([]byte, hintsBytes)); !errors.Is(err, invalidation.ErrTooLarge) {
		t.Errorf("a long hint: %v", err)
	}
}

// What a newer version wrote is left alone: this node is not trusted until it is one of them.
func TestALogOfAnotherVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	a := open(t, url, o)
	transporttest.Subscribed(t, a)
	newer := seal([]byte{itemVersion + 1, 1, 2, 3})
	onServer(t, a, a.names.log, func(s *memcachedconn.Session, key string) error {
		return s.Client().Set(&memcache.Item{Key: key, Value: newer})
	})
	if _, err := a.Publish(t.Context(), [][]byte{{1}}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("Publish: %v", err)
	}
	if _, err := a.Receive(t.Context()); !errors.Is(err, errNewer) {
		t.Errorf("Receive: %v", err)
	}
	onServer(t, a, a.names.log, func(s *memcachedconn.Session, _ string) error {
		items, err := s.Get(a.names.log)
		if err == nil && !bytes.Equal(items[0].Value, newer) {
			t.Error("the item was changed")
		}
		return err
	})
}
