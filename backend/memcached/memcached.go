package memcached

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

func init() {
	for _, scheme := range []string{"memcached", "memcacheds"} {
		backend.Register(scheme, func(ctx context.Context, url string) (*backend.Store, error) {
			return Open(ctx, url, nil)
		})
	}
}

// itemOverhead is what an item needs beside its value. Measured: 59 bytes and the key on a 64-bit server; the rest is
// reserve.
const itemOverhead = 512

// Open opens the Store on the servers of the URL, memcached://user:password@host:port,host:port?parameter=value, or
// memcacheds:// for TLS. It does not wait for them, so ctx is not used. Close the Store when done.
func Open(_ context.Context, url string, o *Options) (*backend.Store, error) {
	var opts memcachedconn.Options
	if o != nil {
		opts = memcachedconn.Options(*o)
	}
	pool, err := memcachedconn.Open(url, &opts)
	if err != nil {
		return nil, fmt.Errorf("memcached: open: %w", err)
	}
	return backend.New(&store{pool: pool}), nil
}

// A store is the driver.
type store struct{ pool *memcachedconn.Pool }

func (s *store) String() string { return s.pool.String() }

func (s *store) Close() error { return s.pool.Close() }

// MaxRecord implements driver.Limiter.
func (s *store) MaxRecord() int { return s.pool.Options().ItemSize - itemOverhead }

// OnServer implements driver.Identifier.
func (s *store) OnServer(hook func(server, identity string)) { s.pool.OnServer(hook) }

// As implements driver.Native.
func (s *store) As(target any) bool {
	switch t := target.(type) {
	case **memcache.Client:
		if t == nil {
			return false
		}
		*t = s.pool.Native()
	case **memcachedconn.Pool: // for our own transports
		if t == nil {
			return false
		}
		*t = s.pool
	default:
		return false
	}
	return true
}

// Ping implements driver.Driver.
func (s *store) Ping(ctx context.Context) error {
	return s.each(ctx, func(server memcachedconn.Owner) error {
		return server.Read(ctx, func(session *memcachedconn.Session) error { return session.Client().Ping() })
	})
}

// Stats implements driver.Statser.
func (s *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	var mu sync.Mutex
	stats := make(map[string]map[string]string) // guarded by mu
	err := s.each(ctx, func(server memcachedconn.Owner) error {
		return server.Read(ctx, func(session *memcachedconn.Session) error {
			found, err := session.Stats()
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			stats[server.String()] = found
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return stats, nil
}

// each calls f for all servers at once, waits, and joins the errors. A context's error, that of all, comes once and as it
// is.
func (s *store) each(ctx context.Context, f func(server memcachedconn.Owner) error) error {
	servers, err := s.pool.Servers(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(servers))
	var calls sync.WaitGroup
	for i, server := range servers {
		calls.Go(func() { errs[i] = f(server) })
	}
	calls.Wait()
	var distinct []error
	for i, err := range errs {
		if i == 0 || !errors.Is(err, errs[0]) {
			distinct = append(distinct, err)
		}
	}
	return joined(distinct)
}

// joined is errors.Join that leaves a single error as it is.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
