package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/redisconn"
)

func init() {
	opener := func(ctx context.Context, url string) (*backend.Store, error) { return Open(ctx, url, nil) }
	backend.Register("redis", opener)
	backend.Register("rediss", opener)
}

// Open returns a Store on the server that the URL names: redis://[user:password@]host[:port][/db][?parameter=value…], or
// rediss:// for TLS. It does not wait for the server: one that is down shows in the first call. Bad options and
// parameters are an error that names each. Close the Store when done.
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
	problems := o.validate(url)
	settings := o.conn()
	if problems != nil {
		settings = nil // the URL's problems are named in one go with these
	}
	d := &store{}
	if settings != nil {
		settings.OnConnect = d.identity.connected
	}
	conn, err := redisconn.Open(url, settings)
	if err != nil {
		return nil, errors.Join(problems, fmt.Errorf("redis: open: %w", err))
	}
	if problems != nil {
		return nil, errors.Join(problems, conn.Close())
	}
	d.conn, d.client = conn, conn.Client()
	d.identity.server = conn.Server()
	d.batch = newBatcher(d.fetch, conn.Timeout(), o.NoBatching)
	return d, nil
}
