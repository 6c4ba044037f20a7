package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

// Count adds delta to the counter at key, which begins at 0, and returns the sum. Each call renews ttl; a counter may
// live longer. Counters and records at one key do not mix. On an error the outcome is unknown. A backend without
// counters answers ErrUnsupported.
func (s *Store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	ctx, sp := s.begin(ctx, Call{Operation: OpCount, Keys: 1})
	sum, err := s.count(ctx, key, delta, ttl)
	err = sp.err(err)
	sp.end(Result{Err: err})
	return sum, err
}

func (s *Store) count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	c, ok := driver.As[driver.Counter](s.drv)
	if !ok {
		return 0, s.unsupported("counters")
	}
	if ttl < time.Millisecond {
		return 0, fmt.Errorf("backend: count: TTL %v: must be at least 1ms", ttl)
	}
	return c.Count(ctx, s.Key(key), delta, ttl)
}

// Scan calls yield with batches of the keys that begin with prefix, until it returns false. A key that is there from beginning
// to end is yielded at least once, others perhaps. A key too long for the backend comes as it is stored, and is found
// by the empty prefix, or by what precedes its brace with the brace. The empty prefix lists the spaces within this one
// too ([Store.Prefix]), their keys as they are stored; no other prefix does. A backend that cannot list its keys answers
// ErrUnsupported.
func (s *Store) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	ctx, sp := s.beginSteps(ctx, Call{Operation: OpScan})
	count := 0
	err := s.scan(ctx, listed(s.space, prefix), func(stored []string) bool {
		count += len(stored)
		keys := make([]string, len(stored))
		for i, k := range stored {
			keys[i] = unescape(strings.TrimPrefix(k, s.space))
		}
		return yield(keys)
	})
	sp.end(Result{Hits: count, Err: err})
	return err
}

// DeletePrefix applies the Delete verb to every key that begins with prefix, which spares fences, and returns how many it
// was applied to. Where prefix goes on behind a brace, keys go too of which the backend knows no more than what precedes their
// brace, as they are too long for it: they may begin with prefix. It answers ErrUnsupported as Scan does.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) (int, error) {
	ctx, sp := s.beginSteps(ctx, Call{Operation: OpDeletePrefix, Verb: record.Delete})
	var r Result
	err := s.scan(ctx, append(listed(s.space, prefix), shortened(s.space, prefix)...), func(stored []string) bool {
		effects := s.deleteStored(ctx, stored)
		for _, e := range effects {
			r.Outcomes[e.Outcome]++
			if err := outcomeError(e); err != nil && r.Err == nil {
				r.Err = err
			}
		}
		return r.Err == nil
	})
	if r.Err == nil {
		r.Err = err
	}
	sp.end(r)
	return r.Outcomes[driver.Done] + r.Outcomes[driver.Refused], r.Err
}

// deleteStored is one step of a DeletePrefix.
func (s *Store) deleteStored(ctx context.Context, stored []string) []driver.Effect {
	ctx, limit := s.limited(ctx)
	defer limit.release()
	ops := make([]driver.Op, len(stored))
	for i, k := range stored {
		ops[i] = driver.Op{Key: k, Step: record.Step{Verb: record.Delete, Fresh: record.NewToken()}}
	}
	effects := s.drv.Write(ctx, ops)
	for i := range effects {
		effects[i].Err = limit.err(effects[i].Err)
	}
	return effects
}

func (s *Store) scan(ctx context.Context, begins []string, yield func(stored []string) bool) error {
	c, ok := driver.As[driver.Scanner](s.drv)
	if !ok {
		return s.unsupported("listing keys")
	}
	ended := false
	ctx, step, end := s.resting(ctx, func(stored []string) bool {
		ended = !yield(stored)
		return !ended
	})
	var err error
	for _, begin := range begins {
		if err = c.Scan(ctx, begin, step); err != nil || ended {
			break
		}
	}
	return end(err)
}

// Stats returns what each server tells of itself, by server name, or ErrUnsupported.
func (s *Store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	ctx, sp := s.begin(ctx, Call{Operation: OpStats})
	stats, err := s.stats(ctx)
	err = sp.err(err)
	sp.end(Result{Err: err})
	return stats, err
}

func (s *Store) stats(ctx context.Context) (map[string]map[string]string, error) {
	c, ok := driver.As[driver.Statser](s.drv)
	if !ok {
		return nil, s.unsupported("statistics")
	}
	return c.Stats(ctx)
}

// GetStale is Get for callers who would rather have an old record than none: a result may be older than a write that was
// acknowledged before, by any time, and comes also while the key's own server is down. A backend without such a way answers as
// Get does.
func (s *Store) GetStale(ctx context.Context, keys ...string) []driver.Result {
	if len(keys) == 0 {
		return nil
	}
	from := s.drv.Get
	if c, ok := driver.As[driver.StaleReader](s.drv); ok {
		from = c.GetStale
	}
	return s.read(ctx, OpGetStale, keys, from)
}

// OnServer registers a hook that is called with a server's name and identity on each new connection before it is used, or
// answers ErrUnsupported. A server that lost its data has another identity. The hook must not use the Store.
func (s *Store) OnServer(hook func(server, identity string)) error {
	c, ok := driver.As[driver.Identifier](s.drv)
	if !ok {
		return s.unsupported("server identity")
	}
	c.OnServer(hook)
	return nil
}

// MayRewind reports whether a server of another identity ([Store.OnServer]) may hold older data than before.
func (s *Store) MayRewind() bool {
	r, ok := driver.As[driver.Rewinder](s.drv)
	return ok && r.MayRewind()
}

// MaxRecord returns the length of the longest record that the backend stores, in bytes, and whether there is a limit.
func (s *Store) MaxRecord() (int, bool) {
	l, ok := driver.As[driver.Limiter](s.drv)
	if !ok {
		return 0, false
	}
	return l.MaxRecord(), true
}
