package memcachedbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
)

// hintTries is how often a hint is tried while others change the item. It may be lost.
const hintTries = 4

// Hint implements invalidation.Transport. It changes the item that all look at with the log.
func (t *transport) Hint(ctx context.Context, frame []byte) error {
	if sizeOf([][]byte{frame}) > hintsBytes {
		return fmt.Errorf("memcachedbus: hint: %d bytes, at most about %d: %w", len(frame), hintsBytes, invalidation.ErrTooLarge)
	}
	return t.call(ctx, "hint", func(ctx context.Context) error {
		for range hintTries {
			_, err := t.owner.Do(ctx, func(s *memcachedconn.Session) error { return t.addHint(s, frame) })
			if !errors.Is(err, errRaced) {
				return err
			}
		}
		return fmt.Errorf("others changed the hints at each of %d tries: %w", hintTries, invalidation.ErrUnavailable)
	})
}

func (t *transport) addHint(s *memcachedconn.Session, frame []byte) error {
	items, err := s.Get(t.names.hints)
	if err != nil {
		return err
	}
	h := newHints()
	if was := items[0]; was != nil {
		if held, err := decodeHints(was.Value); err == nil {
			h = held
		}
		next := &memcache.Item{Key: s.Key(t.names.hints), Value: h.add(frame).encode(), Expiration: hintSeconds, CasID: was.CasID}
		return raced(s.Client().CompareAndSwap(next))
	}
	return raced(s.Client().Add(&memcache.Item{Key: s.Key(t.names.hints), Value: h.add(frame).encode(), Expiration: hintSeconds}))
}
