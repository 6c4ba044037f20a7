package hazelcastbus

import (
	"context"
	"fmt"
	"sync"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/invalidation"
)

// batch is how many entries are read at once. The library reads a message in time and memory that grow with the square of its
// length, so it is what a few of the longest frames may cost.
const batch = 16

// stateKey is the key of the incarnation in the map.
const stateKey = "incarnation"

// entry is an entry of a ring buffer. raw is nil where somebody else put something there that is no byte string.
type entry struct {
	seq int64
	raw []byte
}

// onRing calls fn with a ring buffer, as hazelcastconn.DoWithin does with the map.
func onRing[T any](ctx context.Context, t *transport, limit time.Duration, r hazelcastconn.Repeat, name string,
	fn func(context.Context, *hz.Ringbuffer) (T, error),
) (T, error) {
	return hazelcastconn.DoWithin(ctx, t.conn, limit, r, func(ctx context.Context, _ *hz.Map) (T, error) {
		var none T
		client, err := t.conn.Client(ctx)
		if err != nil {
			return none, err
		}
		ring, err := client.GetRingbuffer(ctx, name)
		if err != nil {
			return none, err
		}
		return fn(ctx, ring)
	})
}

// add appends to a ring buffer, once, and returns the sequence of the last item.
func (t *transport) add(ctx context.Context, name string, items ...any) (int64, error) {
	seq, err := onRing(ctx, t, t.conn.Timeout(), hazelcastconn.Once, name, func(ctx context.Context, ring *hz.Ringbuffer) (int64, error) {
		if len(items) == 1 {
			return ring.Add(ctx, items[0], hz.OverflowPolicyOverwrite)
		}
		return ring.AddAll(ctx, hz.OverflowPolicyOverwrite, items...)
	})
	if err == nil && seq < int64(len(items))-1 {
		return 0, fmt.Errorf("%s: the sequence %d after %d items makes no sense: %w", t.conn.Server(), seq, len(items), invalidation.ErrUnavailable)
	}
	return seq, err
}

// tail returns the sequence of the last entry, -1 if there never was one.
func (t *transport) tail(ctx context.Context, name string) (int64, error) {
	return onRing(ctx, t, t.conn.Timeout(), hazelcastconn.Repeatable, name, func(ctx context.Context, ring *hz.Ringbuffer) (int64, error) {
		return ring.TailSequence(ctx)
	})
}

// capacities guards what the library keeps of a ring buffer, without a lock, in an object that all transports on one client
// share: the first ReadMany would ask for it, without a deadline. Held for one call at most.
var capacities sync.Mutex

func prepare(ctx context.Context, ring *hz.Ringbuffer) error {
	capacities.Lock()
	defer capacities.Unlock()
	capacity, err := ring.Capacity(ctx)
	if err == nil && capacity < batch {
		err = &hazelcastconn.UnsuitableError{Text: fmt.Sprintf("a ring buffer of capacity %d: configure at least %d for it", capacity, batch)}
	}
	return err
}

// read returns the entries from start on, waiting for least of them until ctx ends. It begins elsewhere than at start where the
// ring buffer does not reach: what it returns must be looked at.
//
// A wait is not repeated: what it waited for may be gone with the connection, and the caller has to look.
func (t *transport) read(ctx context.Context, limit time.Duration, name string, start int64, least int) ([]entry, error) {
	return onRing(ctx, t, limit, hazelcastconn.Repeat(least == 0), name, func(ctx context.Context, ring *hz.Ringbuffer) ([]entry, error) {
		if err := prepare(ctx, ring); err != nil {
			return nil, err
		}
		set, err := ring.ReadMany(ctx, start, int32(least), batch, nil)
		if err != nil {
			return nil, err
		}
		entries := make([]entry, set.Size())
		for i := range entries {
			if entries[i].seq, err = set.GetSequence(i); err != nil {
				return nil, fmt.Errorf("entries without sequences: %w", err)
			}
			value, err := set.Get(i)
			if raw, ok := value.([]byte); err == nil && ok {
				entries[i].raw = raw
			}
		}
		return entries, nil
	})
}

// onMap calls fn with the map that holds the incarnation.
func onMap[T any](ctx context.Context, t *transport, r hazelcastconn.Repeat, fn func(context.Context, *hz.Map) (T, error)) (T, error) {
	return hazelcastconn.Do(ctx, t.conn, r, func(ctx context.Context, _ *hz.Map) (T, error) {
		var none T
		client, err := t.conn.Client(ctx)
		if err != nil {
			return none, err
		}
		state, err := client.GetMap(ctx, t.names.state)
		if err != nil {
			return none, err
		}
		return fn(ctx, state)
	})
}

// incarnation returns what the map says, none if nothing.
func (t *transport) incarnation(ctx context.Context) (of invalidation.Incarnation, err error) {
	value, err := onMap(ctx, t, hazelcastconn.Repeatable, func(ctx context.Context, m *hz.Map) (any, error) {
		return m.Get(ctx, stateKey)
	})
	if err != nil || value == nil {
		return of, err
	}
	b, ok := value.([]byte)
	if !ok || len(b) != len(of) {
		return of, &hazelcastconn.UnsuitableError{Text: fmt.Sprintf("the map %s holds a %T that strata did not write", t.names.state, value)}
	}
	copy(of[:], b)
	return of, nil
}

// swap puts next in the place of was, which may be none. It may have happened also if it reports false: members repeat an
// operation among themselves when an owner dies, and the repeated one meets the first.
func (t *transport) swap(ctx context.Context, was, next invalidation.Incarnation) (bool, error) {
	return onMap(ctx, t, hazelcastconn.Once, func(ctx context.Context, m *hz.Map) (bool, error) {
		if was == (invalidation.Incarnation{}) {
			there, err := m.PutIfAbsentWithTTL(ctx, stateKey, next[:], 0) // for ever
			return err == nil && there == nil, err
		}
		return m.ReplaceIfSame(ctx, stateKey, was[:], next[:])
	})
}
