package hazelcast

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/sentinel"
)

// store is the driver. It has nothing of its own but the connection.
type store struct {
	conn        *hazelcastconn.Conn
	concurrency int
}

// Get asks for each key by itself: the library has no bulk read that is faster, and one that fails, fails as a whole.
func (s *store) Get(ctx context.Context, keys []string) []driver.Result {
	results := make([]driver.Result, len(keys))
	if len(keys) == 1 {
		results[0].Record, results[0].Err = s.load(ctx, keys[0])
		return results
	}
	s.each(ctx, len(keys), func(i int) bool {
		results[i].Record, results[i].Err = s.load(ctx, keys[i])
		return !unavailable(results[i].Err)
	}, func(i int, err error) {
		results[i].Err = err
	})
	return results
}

func (s *store) load(ctx context.Context, key string) ([]byte, error) {
	return hazelcastconn.Do(ctx, s.conn, hazelcastconn.Repeatable, func(ctx context.Context, m *hz.Map) ([]byte, error) {
		return bytesOf(m.Get(ctx, key))
	})
}

// bytesOf passes what the library returned: nil for nothing, our own bytes, or something of somebody else.
func bytesOf(value any, err error) ([]byte, error) {
	if err != nil || value == nil {
		return nil, err
	}
	b, ok := value.([]byte)
	if ok && b == nil {
		return []byte{}, nil // something is there, if only an empty one
	}
	if !ok {
		return nil, &hazelcastconn.UnsuitableError{
			Text: fmt.Sprintf("the map holds a %T that strata did not write: give it a map of its own", value),
		}
	}
	return b, nil
}

// each calls do for 0 … n-1, some at once, and waits for all. When one reports false and the timeout is over, those not yet
// begun are given up: a bulk call shall not wait for a dead cluster once for each key.
func (s *store) each(ctx context.Context, n int, do func(i int) bool, giveUp func(i int, err error)) {
	var (
		mu     sync.Mutex // guards next and failed
		next   int
		failed bool
	)
	start := time.Now()
	take := func(ok bool) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		failed = failed || !ok
		next++
		switch {
		case ctx.Err() != nil:
			return next - 1, ctx.Err()
		case failed && time.Since(start) > s.conn.Timeout():
			return next - 1, fmt.Errorf("hazelcast: %s: not tried, as others were not answered: %w", s.conn.Server(), sentinel.ErrUnavailable)
		}
		return next - 1, nil
	}
	var workers sync.WaitGroup
	for range min(n, s.concurrency) {
		workers.Go(func() { // ends with the calls, which ctx and the timeout end
			ok := true
			for {
				i, err := take(ok)
				if i >= n {
					return
				}
				if ok = true; err != nil {
					giveUp(i, err)
				} else {
					ok = do(i)
				}
			}
		})
	}
	workers.Wait()
}

// Ping asks for the size of the map, which every member has to answer. The library cannot address one alone.
func (s *store) Ping(ctx context.Context) error {
	_, err := s.size(ctx)
	return err
}

func (s *store) size(ctx context.Context) (int, error) {
	return hazelcastconn.Do(ctx, s.conn, hazelcastconn.Repeatable, func(ctx context.Context, m *hz.Map) (int, error) {
		return m.Size(ctx)
	})
}

func (s *store) String() string { return s.conn.Redacted() }

func (s *store) Close() error { return s.conn.Close() }

// MaxRecord is far below what the protocol could carry. The library reads a message in time and memory that grow with the
// square of its length (1 MiB: 17 ms and 22 MB, 4 MiB: 123 ms and 286 MB), on the one connection that carries all calls.
func (s *store) MaxRecord() int { return maxRecord }

const maxRecord = 4 << 20

// As hands out the client, or the connection for a bus of this module.
func (s *store) As(target any) bool {
	switch t := target.(type) {
	case **hz.Client:
		client, err := s.conn.Client(context.Background()) // at most the timeout
		if err != nil {
			return false
		}
		*t = client
		return true
	case **hazelcastconn.Conn:
		*t = s.conn
		return true
	}
	return false
}

// hasPrefix keeps the keys that begin with prefix. Keys that are no strings are somebody else's.
func hasPrefix(keys []any, prefix string) []string {
	kept := make([]string, 0, len(keys))
	for _, k := range keys {
		if key, ok := k.(string); ok && strings.HasPrefix(key, prefix) {
			kept = append(kept, key)
		}
	}
	return kept
}
