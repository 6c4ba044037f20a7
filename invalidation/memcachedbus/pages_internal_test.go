package memcachedbus

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/internal/transporttest"
)

// lazy is a node that never looks by itself, but once.
const lazy = time.Hour

// fill publishes frames until the log has so many pages, and returns them.
func fill(t *testing.T, tr *transport, pages int) (frames []string) {
	t.Helper()
	for len(stored(t, tr).log.pages) < pages {
		frame := fmt.Sprintf("%d %s", len(frames), large(".")[:recentBytes/3])
		frames = append(frames, frame)
		transporttest.Publish(t, tr, frame)
	}
	return frames
}

func TestWhoWasAwayReadsThePages(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	o.Poll = lazy
	away, a := open(t, url, o), open(t, url, Options{Name: o.Name})
	at := transporttest.Subscribed(t, away)
	frames := fill(t, a, pagesAtOnce+3)
	transporttest.Publish(t, away, "back") // publishing looks, too
	transporttest.WantFrames(t, away, at, append(frames, "back")...)

	for from := range frames {
		after := invalidation.Position{Incarnation: at.Incarnation, N: at.N + uint64(from)}
		got, err := a.Replay(t.Context(), after, at.N+uint64(len(frames)))
		if err != nil || len(got) != len(frames)-from {
			t.Fatalf("replay from %d: %d frames of %d, %v", from, len(got), len(frames)-from, err)
		}
		for i, frame := range got {
			if string(frame) != frames[from+i] {
				t.Fatalf("replay from %d: frame %d is %.40q, want %.40q", from, i, frame, frames[from+i])
			}
		}
	}
}

// An evicted page is a part of the log that nobody can have again: whoever needs it subscribes anew, and nobody else.
func TestAnEvictedPageIsGone(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	o.Poll = lazy
	away, a := open(t, url, o), open(t, url, Options{Name: o.Name})
	at := transporttest.Subscribed(t, away)
	transporttest.Subscribed(t, a)
	frames := fill(t, a, 3)
	transporttest.WantFrames(t, a, at, frames...)
	l := stored(t, a).log
	onServer(t, a, a.pageKey(l.pages[1]), func(s *memcachedconn.Session, key string) error { return s.Client().Delete(key) })

	held := at.N + l.pages[0].frames
	if got, err := a.Replay(t.Context(), at, held); err != nil || len(got) != int(l.pages[0].frames) {
		t.Errorf("replay of the first page: %d frames, %v", len(got), err)
	}
	for _, through := range []uint64{held + 1, l.head} {
		if got, err := a.Replay(t.Context(), at, through); !errors.Is(err, invalidation.ErrGone) {
			t.Errorf("replay through %d: %d frames, %v; want ErrGone", through, len(got), err)
		}
	}
	p := transporttest.Publish(t, away, "back")
	if head := transporttest.Subscribed(t, away); head != p {
		t.Errorf("subscribed at %v, want %v", head, p)
	}
	if d := transporttest.Receive(t, a); d.Position != p { // has read the others before
		t.Errorf("got %+v, want the frame at %v", d, p)
	}
}

func TestTheLogReachesAsFarBackAsItSays(t *testing.T) {
	t.Parallel()
	url, o := shared(t)
	a := open(t, url, o)
	at := transporttest.Subscribed(t, a)
	fill(t, a, maxPages)
	l := stored(t, a).log
	if _, err := a.Replay(t.Context(), at, l.head); err != nil {
		t.Errorf("with %d pages: %v", len(l.pages), err)
	}
	for stored(t, a).log.pages[0] == l.pages[0] {
		transporttest.Publish(t, a, large(".")[:recentBytes/2])
	}
	after := stored(t, a).log
	if len(after.pages) != maxPages {
		t.Fatalf("%d pages", len(after.pages))
	}
	if _, err := a.Replay(t.Context(), at, after.head); !errors.Is(err, invalidation.ErrGone) {
		t.Errorf("without the first page: %v, want ErrGone", err)
	}
	at.N += l.pages[0].frames
	if _, err := a.Replay(t.Context(), at, after.head); err != nil {
		t.Errorf("from the second page: %v", err)
	}
	if size := len(after.encode()); size > recentBytes+2<<10 {
		t.Errorf("the item that all nodes read has %d bytes", size)
	}
}
