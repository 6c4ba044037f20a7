package memcached

import (
	"context"
	"sync"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

// Get implements driver.Driver: one round trip for each server, all at once.
func (s *store) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	if len(s.pool.Servers()) == 1 || len(keys) == 1 {
		if len(keys) > 0 {
			get(ctx, s.pool.Pick(keys[0]), keys, func(i int) *driver.Result { return &results[i] })
		}
		return results
	}
	type share struct {
		keys []string
		at   []int // where in results
	}
	shares := make(map[*memcachedconn.Server]*share, len(s.pool.Servers()))
	for i, key := range keys {
		server := s.pool.Pick(key)
		sh := shares[server]
		if sh == nil {
			sh = new(share)
			shares[server] = sh
		}
		sh.keys = append(sh.keys, key)
		sh.at = append(sh.at, i)
	}
	var calls sync.WaitGroup
	for server, sh := range shares {
		calls.Go(func() {
			get(ctx, server, sh.keys, func(i int) *driver.Result { return &results[sh.at[i]] })
		})
	}
	calls.Wait()
	return results
}

// get reads keys that server owns and fills in the result of each.
func get(ctx context.Context, server *memcachedconn.Server, keys []string, result func(i int) *driver.Result) {
	err := server.Read(ctx, func(session *memcachedconn.Session) error {
		items, err := session.Get(keys...)
		for i, item := range items {
			if item != nil && len(item.Value) >= record.HeaderLen {
				result(i).Record = item.Value
			}
		}
		return err
	})
	if err == nil {
		return
	}
	for i := range keys {
		*result(i) = driver.Result{Err: err}
	}
}
