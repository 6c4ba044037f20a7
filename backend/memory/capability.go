package memory

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/strata-cache/strata/backend/record"
)

// scanBatch is how many keys Scan yields at once, at most.
const scanBatch = 512

// Count adds delta to a counter.
func (s *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	sh := s.data.shard(key)
	for {
		if err := s.ready(ctx); err != nil {
			return 0, err
		}
		sum, need, err := s.tryCount(sh, key, delta, ttl)
		if need == 0 {
			return sum, err
		}
		if !s.data.makeRoom(need) {
			return 0, errFull
		}
	}
}

// tryCount returns the sum, or how much room it lacks.
func (s *store) tryCount(sh *shard, key string, delta int64, ttl time.Duration) (sum, need int64, err error) {
	if err := s.enter(sh); err != nil {
		return 0, 0, err
	}
	defer sh.mu.Unlock()
	now := time.Now()
	e := sh.counters[key]
	if e != nil && !e.live(now) {
		sh.dropLocked(s.data, e)
		e = nil
	}
	if e == nil {
		e = &entry{key: key}
		if need := s.data.reserve(e.weight()); need > 0 {
			return 0, need, nil
		}
		sh.counters[key] = e
		sh.enterLocked(e)
	}
	if sum = e.count + delta; (sum > e.count) != (delta > 0) && delta != 0 {
		return 0, 0, errOverflow
	}
	e.count = sum
	if expiry := now.Add(ttl); expiry.After(e.expiry) {
		e.expiry = expiry
	}
	sh.sweepLocked(s.data, now)
	return sum, 0, nil
}

// Scan lists records, shard by shard. It holds no lock while it yields.
func (s *store) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	for i := range s.data.shards {
		if err := s.ready(ctx); err != nil {
			return err
		}
		keys, err := s.keys(&s.data.shards[i], prefix)
		if err != nil {
			return err
		}
		for len(keys) > 0 {
			if err := s.ready(ctx); err != nil {
				return err
			}
			n := min(len(keys), scanBatch)
			if !yield(keys[:n:n]) {
				return nil
			}
			keys = keys[n:]
		}
	}
	return nil
}

func (s *store) keys(sh *shard, prefix string) ([]string, error) {
	if err := s.enter(sh); err != nil {
		return nil, err
	}
	defer sh.mu.Unlock()
	now := time.Now()
	var keys []string
	for key, e := range sh.records {
		if strings.HasPrefix(key, prefix) && record.Live(e.record, now) != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Stats counts what is stored, expired records included that were not dropped yet.
func (s *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var records, counters int
	for i := range s.data.shards {
		sh := &s.data.shards[i]
		sh.mu.Lock()
		records += len(sh.records)
		counters += len(sh.counters)
		sh.mu.Unlock()
	}
	return map[string]map[string]string{s.name: {
		"records":   strconv.Itoa(records),
		"counters":  strconv.Itoa(counters),
		"bytes":     strconv.FormatInt(s.data.weight.Load(), 10),
		"max_bytes": strconv.FormatInt(s.data.limit, 10),
		"evictions": strconv.FormatInt(s.data.evictions.Load(), 10),
	}}, nil
}

// MaxRecord keeps one record from driving out most others.
func (s *store) MaxRecord() int { return int(min(s.data.limit/8, 1<<30)) }

// OnServer registers a hook. The next call tells it of the data, and later ones when Lose or Restore put other data there.
func (s *store) OnServer(hook func(server, identity string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook)
	s.met.Store(0)
}

// MayRewind implements driver.Rewinder: Restore brings older data back.
func (s *store) MayRewind() bool { return true }

// As sets a **Memory.
func (s *store) As(target any) bool {
	m, ok := target.(**Memory)
	if ok {
		*m = &Memory{data: s.data}
	}
	return ok
}
