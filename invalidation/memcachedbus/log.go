package memcachedbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
)

const (
	// pageSeconds is how long a page is kept, in seconds. Whoever was away for longer flushes. Pages that the log no longer names
	// lie there until then, too: at 100 kB of announcements a second that is 30 MB.
	pageSeconds = 300
	// hintSeconds is how long hints are there to be polled.
	hintSeconds = 10
	// pagesAtOnce bounds the reply to one request for pages.
	pagesAtOnce = 8
)

// A sight is what one request found on the server.
type sight struct {
	log   *log
	hints *hints // nil for none
}

// A found is a sight that may be changed.
type found struct {
	sight
	item *memcache.Item // of the log, with its CAS id; nil for none
	lost bool           // there is no item, or not one that can be read: log is a new one
}

// read looks at the log and the hints, in one request.
func (t *transport) read(s *memcachedconn.Session) (found, error) {
	items, err := s.Get(t.names.log, t.names.hints)
	if err != nil {
		return found{}, err
	}
	f := found{item: items[0]}
	if hinted := items[1]; hinted != nil {
		f.hints, _ = decodeHints(hinted.Value) // nil if unreadable
	}
	err = errCorrupt
	if f.item != nil {
		f.log, err = decodeLog(f.item.Value)
	}
	if errors.Is(err, errCorrupt) {
		f.log, f.lost, err = newLog(), true, nil
	}
	return f, err
}

// errRaced says that somebody else changed the item.
var errRaced = errors.New("the log changed meanwhile")

// write puts l in the place of what was found, if that is still there. The connection is the one that found it, so the server
// is the same process: its CAS ids do not repeat.
func (t *transport) write(s *memcachedconn.Session, f found, l *log) error {
	item := &memcache.Item{Key: s.Key(t.names.log), Value: l.encode()} // never expires
	var err error
	if f.item == nil {
		err = s.Client().Add(item)
	} else {
		item.CasID = f.item.CasID
		err = s.Client().CompareAndSwap(item)
	}
	return raced(err)
}

func raced(err error) error {
	if errors.Is(err, memcache.ErrCASConflict) || errors.Is(err, memcache.ErrCacheMiss) || errors.Is(err, memcache.ErrNotStored) {
		return errRaced
	}
	return err
}

// An appending is one Publish.
type appending struct {
	*transport
	ctx      context.Context
	frames   [][]byte
	deadline time.Time

	sent  error // why it is not known whether the frames are in the log; nil while they surely are not
	after *log  // the log with them
}

// run appends over one connection. It is called again where the first one was dead already.
func (a *appending) run(s *memcachedconn.Session) error {
	if a.sent != nil {
		return fmt.Errorf("the frames may be in the log: %w: %w", invalidation.ErrUnavailable, a.sent) // once only
	}
	var pages []page
	if sizeOf(a.frames) > recentBytes {
		var err error
		if pages, err = a.writePages(s, a.frames); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		f, err := a.read(s)
		if err != nil {
			return err
		}
		next, older := f.log.add(a.frames, pages)
		if len(older) > 0 {
			rolled, err := a.writePages(s, older)
			if err != nil {
				return err
			}
			next = next.paged(rolled...)
		}
		next = next.paged(pages...)
		switch err := a.write(s, f, next); {
		case err == nil:
			a.after = next
			a.post(sight{next, f.hints})
			return nil
		case err != errRaced:
			a.sent = err
			return err
		}
		if err := a.backOff(try); err != nil {
			return err
		}
	}
}

// backOff waits before another try. Of those who race one wins each time, so the pause need only grow with their number.
func (a *appending) backOff(try int) error {
	timer := time.NewTimer(mathrand.N(min(time.Millisecond<<min(try, 10)/4, 10*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
	if time.Now().After(a.deadline) {
		return fmt.Errorf("the log changed at each of %d tries: %w", try+1, invalidation.ErrUnavailable)
	}
	return nil
}

// writePages stores frames in as few pages as they fit. Nobody knows of a page until the log's item names it.
func (t *transport) writePages(s *memcachedconn.Session, frames [][]byte) ([]page, error) {
	var pages []page
	for len(frames) > 0 {
		n := 1
		for n < len(frames) && sizeOf(frames[:n+1]) <= pageBytes {
			n++
		}
		p := page{frames: uint64(n)}
		_, _ = rand.Read(p.id[:]) // never fails
		err := s.Client().Add(&memcache.Item{Key: s.Key(t.pageKey(p)), Value: encodePage(frames[:n]), Expiration: pageSeconds})
		if err != nil {
			return nil, err
		}
		pages, frames = append(pages, p), frames[n:]
	}
	return pages, nil
}

func (t *transport) pageKey(p page) string { return t.names.page + hex.EncodeToString(p.id[:]) }

// framesOf returns the frames after a position through another, which the log has reached, from its item and its pages.
func (t *transport) framesOf(ctx context.Context, l *log, after, through uint64) ([][]byte, error) {
	first := l.head - uint64(len(l.recent)) // what is after it is in recent
	var needed []page                       // the newest first
	for i := len(l.pages) - 1; i >= 0 && first > after; i-- {
		first -= l.pages[i].frames
		if first < through {
			needed = append(needed, l.pages[i])
		}
	}
	if first > after {
		return nil, fmt.Errorf("the log begins after position %d: %w", first, invalidation.ErrGone)
	}
	frames, size := make([][]byte, 0, min(l.head-first, invalidation.MaxReplay)), 0
	for n := len(needed); n > 0; n = len(needed) {
		batch := needed[max(0, n-pagesAtOnce):]
		needed = needed[:n-len(batch)]
		err := t.owner.Read(ctx, func(s *memcachedconn.Session) error { return t.readPages(s, batch, &frames, &size) })
		if err != nil {
			return nil, err
		}
	}
	if through > first+uint64(len(frames)) {
		frames = append(frames, l.recent...)
	}
	return frames[after-first : through-first], nil
}

// readPages appends the frames of pages, the last of them first, in one request.
func (t *transport) readPages(s *memcachedconn.Session, pages []page, frames *[][]byte, size *int) error {
	keys := make([]string, len(pages))
	for i, p := range pages {
		keys[len(pages)-1-i] = t.pageKey(p)
	}
	items, err := s.Get(keys...)
	if err != nil {
		return err
	}
	for i, item := range items {
		if item == nil {
			return fmt.Errorf("a page of the log is not there any more: %w", invalidation.ErrGone)
		}
		held, err := decodePage(item.Value)
		if err != nil || uint64(len(held)) != pages[len(pages)-1-i].frames {
			return fmt.Errorf("a page of the log cannot be read: %w", invalidation.ErrGone)
		}
		if *size += len(item.Value); *size > invalidation.MaxReplayBytes {
			return fmt.Errorf("more than %d bytes: %w", invalidation.MaxReplayBytes, invalidation.ErrGone)
		}
		*frames = append(*frames, held...)
	}
	return nil
}
