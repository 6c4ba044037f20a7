package memcachedbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/invalidation"
)

// New starts a bus on the connections of a store, found with As: one pool then serves both. The caller closes the bus, and the
// store after it. It is an error if from is not a store on Memcached, or if its servers can change (Membership): nobody may
// move the log.
func New(from interface{ As(target any) bool }, o *Options) (*invalidation.Bus, error) {
	if from == nil {
		return nil, errors.New("memcachedbus: New: the store is nil")
	}
	var pool *memcachedconn.Pool
	if !from.As(&pool) || pool == nil {
		return nil, errors.New("memcachedbus: New: the store is not on Memcached: use Open with the URL of a server")
	}
	return start(pool, false, o)
}

// Open starts a bus with connections of its own for url, which is one that memcached.Open of the backend takes:
// memcached://host[:port][,host[:port]…][?timeout=DURATION&…]. It does not wait for the servers. The caller closes the bus, which
// closes the connections.
func Open(ctx context.Context, url string, o *Options) (*invalidation.Bus, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pool, err := memcachedconn.Open(url, nil)
	if err != nil {
		return nil, fmt.Errorf("memcachedbus: open: %w", err)
	}
	bus, err := start(pool, true, o)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return bus, nil
}

func start(pool *memcachedconn.Pool, owned bool, o *Options) (*invalidation.Bus, error) {
	opts, err := o.resolve()
	switch {
	case err != nil:
		return nil, err
	case pool.Options().Membership != nil:
		return nil, errors.New("memcachedbus: the servers of the pool can change (Membership): the log needs one that stays")
	case pool.Options().ItemSize < leastItemSize:
		return nil, fmt.Errorf("memcachedbus: items of %d bytes: the log needs servers and an item_size of at least %d", pool.Options().ItemSize, leastItemSize)
	}
	return invalidation.New(newTransport(pool, owned, &opts), &opts.Options), nil
}
