package memcached

import (
	"context"
	"errors"
	"sync"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

// turns is how often a call whose pool changed meanwhile begins again.
const turns = 4

// Get implements driver.Driver: one round trip for each server, all at once.
func (s *store) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	s.get(ctx, keys, results)
	for range turns {
		var left []string
		var at []int // where in results
		for i, r := range results {
			if errors.Is(r.Err, memcachedconn.ErrChanged) {
				left = append(left, keys[i])
				at = append(at, i)
			}
		}
		if len(left) == 0 {
			break
		}
		again := make([]driver.Result, len(left))
		s.get(ctx, left, again)
		for i, r := range again {
			results[at[i]] = r
		}
	}
	return results
}

func (s *store) get(ctx context.Context, keys []string, results []driver.Result) {
	if len(keys) == 1 {
		get(ctx, s.pool.Pick(keys[0]), keys, func(i int) *driver.Result { return &results[i] })
		return
	}
	type share struct {
		keys []string
		at   []int // where in results
	}
	shares := make(map[memcachedconn.Owner]*share)
	for i, key := range keys {
		owner := s.pool.Pick(key)
		sh := shares[owner]
		if sh == nil {
			sh = new(share)
			shares[owner] = sh
		}
		sh.keys = append(sh.keys, key)
		sh.at = append(sh.at, i)
	}
	var calls sync.WaitGroup
	for owner, sh := range shares {
		read := func() { get(ctx, owner, sh.keys, func(i int) *driver.Result { return &results[sh.at[i]] }) }
		if len(shares) == 1 {
			read()
			return
		}
		calls.Go(read)
	}
	calls.Wait()
}

// get reads keys of one owner and fills in the result of each.
func get(ctx context.Context, owner memcachedconn.Owner, keys []string, result func(i int) *driver.Result) {
	err := owner.Read(ctx, func(session *memcachedconn.Session) error {
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
