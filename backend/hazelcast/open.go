package hazelcast

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/hazelcastconn"
)

func init() {
	backend.Register(hazelcastconn.Scheme, func(ctx context.Context, url string) (*backend.Store, error) {
		return Open(ctx, url, nil)
	})
}

// Open returns a Store on the cluster that a URL names:
//
//	hazelcast://[user:password@]host[:port][,host[:port]…][?cluster=NAME&map=NAME&timeout=DURATION&…]
//
// The fields of Options name the other parameters. It succeeds while the cluster is down, and connects in the background; ctx
// bounds Open alone. Errors name every problem and never show a password. Close the Store when done.
func Open(ctx context.Context, url string, o *Options) (*backend.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opts, concurrency, problems := o.conn()
	conn, err := hazelcastconn.Open(url, opts)
	if err = errors.Join(problems, err); err != nil {
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
		return nil, err
	}
	return backend.New(&store{conn: conn, concurrency: concurrency}), nil
}
