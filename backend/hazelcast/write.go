package hazelcast

import (
	"bytes"
	"context"
	"errors"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

// Write runs ops at different keys at once, and those at one key in their order.
func (s *store) Write(ctx context.Context, ops []driver.Op) []driver.Effect {
	effects := make([]driver.Effect, len(ops))
	if len(ops) == 1 {
		effects[0] = s.apply(ctx, ops[0])
		return effects
	}
	var groups [][]int
	at := make(map[string]int, len(ops))
	for i, op := range ops {
		g, ok := at[op.Key]
		if !ok {
			g = len(groups)
			at[op.Key] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	s.each(ctx, len(groups), func(g int) bool {
		reached := true
		for _, i := range groups[g] {
			effects[i] = s.apply(ctx, ops[i])
			reached = reached && !unavailable(effects[i].Err)
		}
		return reached
	}, func(g int, err error) {
		for _, i := range groups[g] {
			effects[i] = driver.Effect{Outcome: driver.Unsent, Err: err}
		}
	})
	return effects
}

func (s *store) apply(ctx context.Context, op driver.Op) driver.Effect {
	effect := driver.Loop(ctx, &swapper{store: s}, op, time.Now)
	if errors.Is(effect.Err, errLanded) {
		return driver.Effect{Outcome: driver.Done}
	}
	return effect
}

// A swapper runs one op. Its handle is what the key holds, nil for nothing. Every state of a key but a renewed one has a
// token of its own, so equal bytes mean that nothing happened in between; and two renewals with equal bytes are one.
type swapper struct {
	*store
	tried []byte // what the last refused swap would have put there
}

// errLanded ends a loop whose swap was refused although it had happened: members repeat an operation among themselves
// when an owner dies, and the repeated one meets the first.
var errLanded = errors.New("hazelcast: the swap had happened")

func (s *swapper) Load(ctx context.Context, key string) (current, handle []byte, err error) {
	current, err = s.load(ctx, key)
	if err == nil && s.tried != nil && bytes.Equal(current, s.tried) {
		return nil, nil, errLanded
	}
	return current, current, err
}

// CompareAndSwap sends the one request that fits. ReplaceIfSame makes the entry live as long as the map's configuration says,
// which is for ever by default; the record's own expiry counts, and setting a TTL afterwards could hit a fence that
// somebody put there in between.
func (s *swapper) CompareAndSwap(ctx context.Context, key string, handle, next []byte, ttl time.Duration) (driver.Outcome, error) {
	s.tried = next
	swapped, err := hazelcastconn.Do(ctx, s.conn, hazelcastconn.Once, func(ctx context.Context, m *hz.Map) (bool, error) {
		switch {
		case handle == nil:
			there, err := bytesOf(m.PutIfAbsentWithTTL(ctx, key, next, atLeast(ttl)))
			return there == nil || bytes.Equal(there, next), err
		case next == nil:
			return m.RemoveIfSame(ctx, key, handle)
		default:
			return m.ReplaceIfSame(ctx, key, handle, next)
		}
	})
	switch {
	case err == nil && swapped:
		return driver.Done, nil
	case err == nil:
		return driver.Refused, nil
	case hazelcastconn.NotSent(err):
		return driver.Unsent, err
	}
	return driver.Unknown, err
}

// atLeast is a TTL that keeps an entry for ttl. The server cuts it to whole seconds, counts from the beginning of a second,
// and takes what is beyond 2^31 seconds for a mistake.
func atLeast(ttl time.Duration) time.Duration {
	const most = 20 * 365 * 24 * time.Hour
	return min(ttl, most).Truncate(time.Second) + 2*time.Second
}

func unavailable(err error) bool { return errors.Is(err, sentinel.ErrUnavailable) }
