package redisjournal

import (
	"context"
	"fmt"
	"slices"

	"github.com/strata-cache/strata/policy/journal"
)

// Keep implements journal.Queue.
func (q *queue) Keep(ctx context.Context, entries []journal.Entry) error {
	return q.finish(ctx, "keep what is taken of", keepScript, entries, func(args []any, _ int, id, delivery string) []any {
		return append(args, id, delivery)
	})
}

// Done implements journal.Queue.
func (q *queue) Done(ctx context.Context, entries []journal.Entry) error {
	err := q.finish(ctx, "end what is taken of", doneScript, entries, func(args []any, i int, id, delivery string) []any {
		return append(args, id, delivery, entries[i].Key, word(entries[i].Position))
	})
	if err == nil {
		q.letGo(entries)
	}
	return err
}

// Return implements journal.Queue.
func (q *queue) Return(ctx context.Context, entries []journal.Entry) error {
	err := q.finish(ctx, "give back what is taken of", returnScript, entries, func(args []any, i int, id, delivery string) []any {
		return append(args, id, delivery, entries[i].Key)
	})
	if err == nil {
		q.letGo(entries)
	}
	return err
}

// Bury implements journal.Queue.
func (q *queue) Bury(ctx context.Context, entries []journal.Entry, causes []string) error {
	if len(causes) != len(entries) {
		return fmt.Errorf("redisjournal: bury: %d entries and %d causes", len(entries), len(causes))
	}
	return q.finish(ctx, "bury what is taken of", buryScript, entries, func(args []any, i int, id, delivery string) []any {
		return append(args, id, delivery, entries[i].Key, word(entries[i].Position), causes[i])
	})
}

// finish runs a script on the entries that were taken, some hundreds at a time.
func (q *queue) finish(ctx context.Context, op string, s script, entries []journal.Entry, args func(args []any, i int, id, delivery string) []any) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	first := 0
	for page := range slices.Chunk(entries, pageKeys) {
		all := make([]any, 1, 1+5*len(page))
		all[0] = q.consumer
		for i := range page {
			if id, delivery, ok := ticket(&page[i]); ok {
				all = args(all, first+i, id, delivery)
			}
		}
		first += len(page)
		if len(all) == 1 {
			continue
		}
		if _, err := q.number(ctx, s, all...); err != nil {
			return q.wrap(ctx, op, err)
		}
	}
	return nil
}
