package redisbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
)

// New starts a bus on the client of a store, found with As: one client then serves both. The caller closes the bus, and the
// store after it. It is an error if from is not a store on Redis.
func New(from interface{ As(target any) bool }, o *Options) (*invalidation.Bus, error) {
	if from == nil {
		return nil, errors.New("redisbus: New: the store is nil")
	}
	var conn *redisconn.Conn
	if !from.As(&conn) || conn == nil {
		return nil, errors.New("redisbus: New: the store is not on Redis: use Open with the URL of a Redis server")
	}
	return start(conn, false, o)
}

// Open starts a bus with a client of its own for url, of any form that package backend/redis takes: one server, Sentinel or
// Cluster, plain or over TLS, with the same parameters. For what a URL cannot hold (a tls.Config, Credentials, a Dialer)
// open a store and use New. It does not wait for the server. The caller closes the bus, which closes the client.
func Open(ctx context.Context, url string, o *Options) (*invalidation.Bus, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := redisconn.Open(url, nil)
	if err != nil {
		return nil, fmt.Errorf("redisbus: open: %w", err)
	}
	bus, err := start(conn, true, o)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return bus, nil
}

func start(conn *redisconn.Conn, owned bool, o *Options) (*invalidation.Bus, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return invalidation.New(newTransport(conn, owned, opts), &opts.Options), nil
}
