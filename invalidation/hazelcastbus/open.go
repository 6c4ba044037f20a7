package hazelcastbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/invalidation"
)

// New starts a bus on the client of a store, found with As: one client then serves both. The caller closes the bus, and the
// store after it. It is an error if from is not a store on Hazelcast.
func New(from interface{ As(target any) bool }, o *Options) (*invalidation.Bus, error) {
	if from == nil {
		return nil, errors.New("hazelcastbus: New: the store is nil")
	}
	var conn *hazelcastconn.Conn
	if !from.As(&conn) || conn == nil {
		return nil, errors.New("hazelcastbus: New: the store is not on Hazelcast: use Open with the URL of a cluster")
	}
	return start(conn, false, o)
}

// Open starts a bus with a client of its own for url, which is one that hazelcast.Open of the backend takes:
// hazelcast://host[:port][,host[:port]…][?cluster=NAME&timeout=DURATION&…]. It does not wait for the cluster. The caller closes
// the bus, which closes the client.
func Open(ctx context.Context, url string, o *Options) (*invalidation.Bus, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := hazelcastconn.Open(url, nil)
	if err != nil {
		return nil, fmt.Errorf("hazelcastbus: open: %w", err)
	}
	bus, err := start(conn, true, o)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return bus, nil
}

func start(conn *hazelcastconn.Conn, owned bool, o *Options) (*invalidation.Bus, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return invalidation.New(newTransport(conn, owned, opts.names()), &opts.Options), nil
}
