package redis

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/redisconn"
)

func init() {
	opener := func(ctx context.Context, url string) (*backend.Store, error) { return Open(ctx, url, nil) }
	for _, scheme := range redisconn.Schemes() {
		backend.Register(scheme, opener)
	}
}

// Open returns a Store on the Redis that the URL names:
//
//	redis://[user:password@]host[:port][/db][?parameter=value…]
//	redis-sentinel://[user:password@]host[:port],host[:port]…/MASTER[/db][?…]
//	redis-cluster://[user:password@]host[:port],host[:port]…[?…]
//
// or the same with rediss for TLS. It does not wait for the servers: one that is down shows in the first call. Bad options
// and parameters are an error that names each. Close the Store when done.
func Open(_ context.Context, url string, o *Options) (*backend.Store, error) {
	d, err := open(url, o)
	if err != nil {
		return nil, err
	}
	return backend.New(d), nil
}

func open(url string, o *Options) (*store, error) {
	if o == nil {
		o = &Options{}
	}
	d := &store{}
	settings := o.conn()
	settings.OnConnect = d.identity.connected
	conn, err := redisconn.Open(url, settings)
	if err != nil {
		return nil, fmt.Errorf("redis: open: %w", err)
	}
	d.conn = conn
	d.identity.name = func(server string) string {
		if conn.Clustered() {
			return server
		}
		return conn.Server() // one at a time, whichever it is
	}
	n := 1
	if conn.Clustered() {
		n = stripes
	}
	for range n {
		b := newBatcher(d.fetch, conn.Timeout(), o.NoBatching)
		b.server = conn.Server()
		d.batchers = append(d.batchers, b)
	}
	return d, nil
}
