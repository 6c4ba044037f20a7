package redisjournal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

// Pending implements journal.Queue.
func (q *queue) Pending(ctx context.Context, keys []string) ([]journal.Entry, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	entries := make([]journal.Entry, 0, len(keys))
	for len(entries) < len(keys) {
		page := keys[len(entries):min(len(keys), len(entries)+pageKeys)]
		args := make([]any, 1, 1+len(page))
		args[0] = pageBytes
		for _, key := range page {
			args = append(args, key)
		}
		reply, err := q.list(ctx, pendingScript, args...)
		if err != nil {
			return nil, q.wrap(ctx, "pending writes of", err)
		}
		if len(reply) == 0 || len(reply)%2 != 0 || len(reply) > 2*len(page) {
			return nil, q.wrap(ctx, "pending writes of", senseless(reply))
		}
		for i := 0; i < len(reply); i += 2 {
			head, okHead := reply[i].(string)
			body, okBody := reply[i+1].(string)
			if !okHead || !okBody {
				return nil, q.wrap(ctx, "pending writes of", senseless(reply))
			}
			e := journal.Entry{Write: journal.Write{Key: page[i/2]}}
			if head != "" && body != "" { // a body alone would be half of what was lost
				if e, err = readEntry(page[i/2], head, body); err != nil {
					return nil, q.wrap(ctx, "pending writes of", fmt.Errorf("%q: %w", page[i/2], err))
				}
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// List implements journal.Queue. It reads what is pending when it begins, and skips what is not any more.
func (q *queue) List(ctx context.Context, f func(journal.Entry) bool) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	found := map[string]journal.Position{}
	err := q.scan(ctx, keyHeads, pageKeys, func(key, head string) (bool, error) {
		if len(head) < headSize {
			return false, fmt.Errorf("%q: %w", key, errEntry)
		}
		found[key] = readPosition(head)
		return true, nil
	})
	if err != nil {
		return q.wrap(ctx, "list", err)
	}
	for keys := range slices.Chunk(inOrder(found), 100) {
		entries, err := q.Pending(ctx, keys)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Position != 0 && !f(e) {
				return nil
			}
		}
	}
	return nil
}

// inOrder returns keys in the order of their positions.
func inOrder(found map[string]journal.Position) []string {
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(cmp.Compare(found[a], found[b]), cmp.Compare(a, b))
	})
}

// Stats implements journal.Queue. The oldest is that of the hundred keys that are listed first.
func (q *queue) Stats(ctx context.Context) (journal.Stats, error) {
	if err := q.usable(ctx); err != nil {
		return journal.Stats{}, err
	}
	reply, err := q.list(ctx, statsScript)
	if err != nil {
		return journal.Stats{}, q.wrap(ctx, "statistics of", err)
	}
	var n [5]int64
	ok := len(reply) == len(n)
	for i := 0; ok && i < len(n); i++ {
		n[i], ok = reply[i].(int64)
	}
	if !ok {
		return journal.Stats{}, q.wrap(ctx, "statistics of", senseless(reply))
	}
	s := journal.Stats{Depth: int(n[0]), Taken: int(n[1]), Dead: int(n[3]), Merged: uint64(n[4])}
	if n[2] > 0 {
		s.Oldest = time.UnixMilli(n[2])
	}
	return s, nil
}
