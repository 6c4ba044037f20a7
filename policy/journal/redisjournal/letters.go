package redisjournal

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
)

// Dead implements journal.Queue.
func (q *queue) Dead(ctx context.Context, f func(journal.DeadLetter) bool) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	seen := map[string]bool{}
	err := q.scan(ctx, keyDead, 20, func(key, text string) (bool, error) {
		if seen[key] {
			return true, nil
		}
		seen[key] = true
		d, err := readLetter(key, text)
		if err != nil {
			return false, fmt.Errorf("%q: %w", key, err)
		}
		return f(d), nil
	})
	return q.wrap(ctx, "dead letters of", err)
}

// Retry implements journal.Queue.
func (q *queue) Retry(ctx context.Context, keys ...string) (n int, err error) {
	if err := q.usable(ctx); err != nil {
		return 0, err
	}
	if len(keys) == 0 {
		if keys, err = q.letters(ctx); err != nil {
			return 0, q.wrap(ctx, "retry", err)
		}
	}
	n, err = q.onKeys(ctx, retryScript, keys)
	return n, q.wrap(ctx, "retry", err)
}

// Purge implements journal.Queue.
func (q *queue) Purge(ctx context.Context, keys ...string) (n int, err error) {
	if err := q.usable(ctx); err != nil {
		return 0, err
	}
	if len(keys) == 0 {
		n, err = q.number(ctx, purgeScript)
	} else {
		n, err = q.onKeys(ctx, purgeScript, keys)
	}
	return n, q.wrap(ctx, "purge", err)
}

// onKeys runs a script on keys, a few at a time, as it may move large values, and sums up what it says.
func (q *queue) onKeys(ctx context.Context, s script, keys []string) (sum int, err error) {
	for page := range slices.Chunk(keys, 100) {
		args := make([]any, len(page))
		for i, key := range page {
			args[i] = key
		}
		n, err := q.number(ctx, s, args...)
		if sum += n; err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// letters returns the keys of the dead letters, in the order of their positions.
func (q *queue) letters(ctx context.Context) ([]string, error) {
	found := map[string]journal.Position{}
	err := q.scan(ctx, keyDead, 20, func(key, text string) (bool, error) {
		d, err := readLetter(key, text)
		if err != nil {
			return false, fmt.Errorf("%q: %w", key, err)
		}
		found[key] = d.Position
		return true, nil
	})
	return inOrder(found), err
}

// scan calls f for the fields of one of the hashes, for some of them twice, until it returns false.
func (q *queue) scan(ctx context.Context, key, count int, f func(field, value string) (bool, error)) error {
	var cursor uint64
	for {
		n, err := q.conn.Primary(ctx, q.keys[key])
		if err != nil {
			return err
		}
		type page struct {
			fields []string
			cursor uint64
		}
		p, err := redisconn.DoAt(ctx, q.conn, n, func(ctx context.Context) (p page, err error) {
			cmd := redis.NewScanCmd(ctx, nil, "hscan", q.keys[key], cursor, "count", count)
			q.conn.Exec(ctx, n, []redis.Cmder{cmd})
			p.fields, p.cursor, err = cmd.Result()
			return p, err
		})
		if err != nil {
			return q.conn.Explain(n.Server(), err)
		}
		for i := 0; i+1 < len(p.fields); i += 2 {
			if more, err := f(p.fields[i], p.fields[i+1]); err != nil || !more {
				return err
			}
		}
		if cursor = p.cursor; cursor == 0 {
			return nil
		}
	}
}
