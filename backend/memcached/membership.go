package memcached

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/memcachedconn"
)

// A Membership is a register, shared by all processes, that holds who is in a pool. invalidation.Register satisfies it.
//
//	Load(ctx) (value []byte, epoch uint64, err error)
//	Swap(ctx, value []byte, epoch uint64) (newEpoch uint64, swapped bool, err error)
//	Changed() (signal <-chan struct{}, stop func())
//
// Load returns what is registered now, never something older, and its epoch: 0 if nothing is. Swap registers value under
// the next epoch if the epoch still is the given one; after an error it may or may not have done so. Changed returns a
// channel that gets a signal when what is registered may have changed; signals may be lost or fall together, and stop ends
// them. All are called concurrently, and return promptly when ctx ends.
//
// The register must not lose or take back what it answered to. If it does, records of before may be served until a
// process that knows better hears of it, at the latest a quarter of Options.Lease later; that process then gives up all
// records of the pool.
type Membership = memcachedconn.Membership

// SetServers makes servers, each host[:port], those of the pool of s, for all processes: adding and removing are this one
// step. Records stay where they are unless their key's server is another one now; such keys begin empty. SetServers
// returns when no process uses the old list any more, typically after some milliseconds, in which calls wait. If a server
// of the old list does not answer it takes Options.Lease, during which only the keys of that server are unavailable.
//
// After an error the change may be done, under way or not. Once registered it is finished by any process of the pool. It
// may be called by several processes at once: the changes are done one after another.
//
// Without Options.Membership it is backend.ErrUnsupported, as for a Store that is none of memcached.
func SetServers(ctx context.Context, s *backend.Store, servers ...string) error {
	var pool *memcachedconn.Pool
	if !s.As(&pool) {
		return fmt.Errorf("memcached: set servers of %v: %w", s, backend.ErrUnsupported)
	}
	return pool.Change(ctx, servers)
}

// Servers returns host:port of each server of the pool of s, sorted, as far as this process knows.
func Servers(ctx context.Context, s *backend.Store) ([]string, error) {
	var pool *memcachedconn.Pool
	if !s.As(&pool) {
		return nil, fmt.Errorf("memcached: servers of %v: %w", s, backend.ErrUnsupported)
	}
	owners, err := pool.Servers(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(owners))
	for i, owner := range owners {
		names[i] = owner.String()
	}
	return names, nil
}

// ErrCredentials says that a server does not take the user name and password, or wants some. Errors with it name the
// server, and are backend.ErrUnavailable too.
var ErrCredentials = memcachedconn.ErrCredentials
