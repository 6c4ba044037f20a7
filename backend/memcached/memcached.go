package memcached

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

func init() {
	backend.Register("memcached", func(ctx context.Context, url string) (*backend.Store, error) {
		return Open(ctx, url, nil)
	})
}

// Options are the settings of a Store. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field.
type Options struct {
	// Timeout bounds each call to a server as a whole: waiting for a connection, dialling, request and reply. Default:
	// 500 ms. URL parameter: timeout (a Go duration such as 250ms).
	Timeout time.Duration

	// Connections is the highest number of connections to each server; further calls wait. All are kept open once
	// made. Default: 64. URL parameter: connections.
	Connections int

	// ItemSize is the size of the largest item in bytes that every server of the pool was given by -I. Default: 1 MiB,
	// which is memcached's. URL parameter: item_size.
	ItemSize int

	// Pool names the pool and is part of every stored key. Give another name whenever the list of servers changes, the
	// same in all processes. Default: no name. URL parameter: pool.
	Pool string
}

// itemOverhead is what an item needs beside its value. Measured: 59 bytes and the key on a 64-bit server; the rest is
// reserve.
const itemOverhead = 512

// Open opens the Store on the servers of the URL, memcached://host:port,host:port?parameter=value. It does not talk to
// them, so ctx is not used. Close the Store when done.
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
	return s.each(func(_ int, server *memcachedconn.Server) error {
		return server.Read(ctx, func(session *memcachedconn.Session) error { return session.Client().Ping() })
	})
}

// Stats implements driver.Statser.
func (s *store) Stats(ctx context.Context) (map[string]map[string]string, error) {
	found := make([]map[string]string, len(s.pool.Servers()))
	err := s.each(func(i int, server *memcachedconn.Server) error {
		return server.Read(ctx, func(session *memcachedconn.Session) (err error) {
			found[i], err = session.Stats()
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	stats := make(map[string]map[string]string, len(found))
	for i, server := range s.pool.Servers() {
		stats[server.String()] = found[i]
	}
	return stats, nil
}

// each calls f for all servers at once, waits, and joins the errors. A context's error, that of all, comes once and as it
// is.
func (s *store) each(f func(i int, server *memcachedconn.Server) error) error {
	servers := s.pool.Servers()
	errs := make([]error, len(servers))
	var calls sync.WaitGroup
	for i, server := range servers {
		calls.Go(func() { errs[i] = f(i, server) })
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
