package hazelcast

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"
	"github.com/hazelcast/hazelcast-go-client/predicate"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

const counterLen = 8

// Count swaps a record whose body is the sum: the server's own counters never expire.
func (s *store) Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	began := time.Now() // what lived then counts, however long the read takes: a counter may live longer, never shorter
	for {
		swap := swapper{store: s}
		current, handle, err := swap.Load(ctx, key)
		if err != nil {
			return 0, err
		}
		sum := delta
		if live := record.Live(current, began); live != nil {
			_, body, _ := record.Parse(live)
			if len(body) != counterLen {
				return 0, fmt.Errorf("hazelcast: count: %q holds a record that is no counter", key)
			}
			sum += int64(binary.BigEndian.Uint64(body))
		}
		h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(ttl)}
		next := record.New(h, binary.BigEndian.AppendUint64(nil, uint64(sum)))
		outcome, err := swap.CompareAndSwap(ctx, key, handle, next, ttl)
		if outcome == driver.Refused { // another one was counted, or, if the record is ours, this one
			if current, err = s.load(ctx, key); err == nil && !bytes.Equal(current, next) {
				continue
			}
		}
		if err != nil {
			return 0, err
		}
		return sum, nil
	}
}

const (
	scanBatch = 1000
	scanLimit = time.Minute // for one scan; the cluster has to answer other calls meanwhile
	scanProbe = 3           // timeouts within which it has to
)

// Scan asks for the keys by one query, whose answer comes as a whole. It may take longer than a call, as long as the cluster
// answers a small read now and then.
func (s *store) Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error {
	found, err := s.scan(ctx, prefix)
	if err != nil {
		return err
	}
	keys := hasPrefix(found, prefix)
	for len(keys) > 0 {
		n := min(len(keys), scanBatch)
		if !yield(keys[:n:n]) {
			return nil
		}
		keys = keys[n:]
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) scan(ctx context.Context, prefix string) ([]any, error) {
	if _, err := s.conn.Map(ctx); err != nil { // else the scan would wait for a connection as long as it may last
		return nil, err
	}
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var probe sync.WaitGroup
	defer probe.Wait()
	finished := make(chan struct{})
	defer close(finished)
	probe.Go(func() { // ends with this call
		ticks := time.NewTicker(s.conn.Timeout())
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-finished:
				return
			case <-watched.Done():
				return
			}
			_, err := hazelcastconn.DoWithin(watched, s.conn, scanProbe*s.conn.Timeout(), hazelcastconn.Repeatable,
				func(ctx context.Context, m *hz.Map) (bool, error) { return m.ContainsKey(ctx, prefix+"probe") })
			if unavailable(err) {
				cancel(err)
			}
		}
	})
	keys, err := hazelcastconn.DoWithin(watched, s.conn, scanLimit, hazelcastconn.Repeatable,
		func(ctx context.Context, m *hz.Map) ([]any, error) {
			return m.GetKeySetWithPredicate(ctx, predicate.Like("__key", pattern(prefix)))
		})
	if cause := context.Cause(watched); err != nil && ctx.Err() == nil && unavailable(cause) && !errors.Is(err, sentinel.ErrClosed) {
		err = cause
	}
	cancel(nil) // before the deferred Wait
	return keys, err
}

// pattern returns a LIKE pattern that every key with the prefix matches, and some others. The server has no way to write a
// backslash before a wildcard, so whatever is special becomes the wildcard for one character.
func pattern(prefix string) string {
	return strings.NewReplacer("%", "_", `\`, "_").Replace(prefix) + "%"
}

// Stats tells of each member what the client knows of it, and of the cluster how many entries the map has.
func (s *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	size, err := s.size(ctx)
	if err != nil {
		return nil, err
	}
	members := s.conn.Members()
	stats := map[string]map[string]string{
		"cluster": {
			"map":     s.conn.MapName(),
			"entries": strconv.Itoa(size),
			"members": strconv.Itoa(len(members)),
		},
	}
	for _, m := range members {
		stats[m.Address] = map[string]string{"uuid": m.UUID, "version": m.Version}
	}
	return stats, nil
}

// MayRewind implements driver.Rewinder: another cluster may hold what this one has forgotten.
func (s *store) MayRewind() bool { return true }

// OnServer registers a hook, which also hears of the cluster to which connections exist.
func (s *store) OnServer(hook func(server, identity string)) { s.conn.OnServer(hook) }
