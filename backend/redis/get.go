package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
)

// Get asks for several keys by one MGET. A single key may wait for a short while, and share an MGET with others that
// waited.
func (d *store) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	if len(keys) == 1 {
		results[0].Record, results[0].Err = d.batch.get(ctx, keys[0])
		return results
	}
	found, err := d.fetch(ctx, keys)
	for i := range results {
		if err != nil {
			results[i].Err = err
		} else {
			results[i].Record = found[i]
		}
	}
	return results
}

// fetch returns what is at each key, in one command. Nobody else refers to the bytes.
func (d *store) fetch(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 1 {
		return call(ctx, d, "get", func(ctx context.Context) ([][]byte, error) {
			b, err := d.client.Get(ctx, keys[0]).Bytes()
			if errors.Is(err, goredis.Nil) {
				return [][]byte{nil}, nil
			}
			return [][]byte{b}, err
		})
	}
	return call(ctx, d, "get", func(ctx context.Context) ([][]byte, error) {
		values, err := d.client.MGet(ctx, keys...).Result()
		if err != nil {
			return nil, err
		}
		found := make([][]byte, len(keys))
		for i, v := range values {
			if s, ok := v.(string); ok {
				found[i] = []byte(s)
			}
		}
		return found, nil
	})
}
