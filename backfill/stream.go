package backfill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"
)

// An Item is one key of a stream.
type Item[K comparable, V any] struct {
	Key K

	// Value, if not nil, is what the cache is to have at Key, unless it has something. Nil: the cache's loader says.
	Value *V

	// Of a Value: how long it lives, 0 for the cache's TTL, its tags, and its version at the source, 0 for none.
	TTL     time.Duration
	Tags    []string
	Version uint64

	// Position is from where to go on when this item and all before it are done, nil where the stream cannot go on. It must not be
	// changed.
	Position []byte
}

// A Stream returns the items that come after a position, nil for all. It ends by an error, with which Run then ends after it has
// done what came before. The order must be the same each time. It is called once, on Run's goroutine.
type Stream[K comparable, V any] func(ctx context.Context, after []byte) iter.Seq2[Item[K, V], error]

// Keys is a stream of keys whose position is their number: to go on it passes over as many keys as were done.
func Keys[K comparable, V any](keys iter.Seq[K]) Stream[K, V] {
	return Counted(func(yield func(Item[K, V], error) bool) {
		for k := range keys {
			if !yield(Item[K, V]{Key: k}, nil) {
				return
			}
		}
	})
}

// Counted is a stream of items whose position is their number, whatever theirs is: to go on it passes over as many as were done.
func Counted[K comparable, V any](items iter.Seq2[Item[K, V], error]) Stream[K, V] {
	return func(_ context.Context, after []byte) iter.Seq2[Item[K, V], error] {
		return func(yield func(Item[K, V], error) bool) {
			var done, n uint64
			if after != nil {
				if len(after) != 8 {
					yield(Item[K, V]{}, fmt.Errorf("backfill: a position of %d bytes is no number of items", len(after)))
					return
				}
				done = binary.BigEndian.Uint64(after)
			}
			for item, err := range items {
				if err != nil {
					yield(item, err)
					return
				}
				if n++; n <= done {
					continue
				}
				item.Position = binary.BigEndian.AppendUint64(nil, n)
				if !yield(item, nil) {
					return
				}
			}
			if n < done {
				yield(Item[K, V]{}, errShorter)
			}
		}
	}
}

var errShorter = errors.New("backfill: there are fewer items than were done: it is another stream")
