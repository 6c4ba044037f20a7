package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/redisconn"
)

// maxRecord is Redis's own limit of a string, with its default proto-max-bulk-len.
const maxRecord = 512 << 20

// store is the driver. What it sends at once is for one server; keys that belong together share a {hash tag}, so that
// several servers change how commands are grouped and nothing else.
type store struct {
	conn     *redisconn.Conn
	client   goredis.UniversalClient
	batch    *batcher
	identity identity
}

var _ interface {
	driver.Driver
	driver.Counter
	driver.Scanner
	driver.Statser
	driver.Identifier
	driver.Limiter
	driver.Native
} = (*store)(nil)

// Ping makes one round trip.
func (d *store) Ping(ctx context.Context) error {
	_, err := call(ctx, d, "ping", func(ctx context.Context) (string, error) { return d.client.Ping(ctx).Result() })
	return err
}

// MaxRecord is Redis's own limit.
func (d *store) MaxRecord() int { return maxRecord }

// String is the URL without password and parameters.
func (d *store) String() string { return d.conn.Redacted() }

// GoString is String too: %#v would print the fields.
func (d *store) GoString() string { return fmt.Sprintf("redis.store(%s)", d.conn.Redacted()) }

// Close lets what is under way end, which takes at most about the timeout.
func (d *store) Close() error {
	d.batch.close()
	return d.conn.Close()
}

// As hands out the native client, and to the bus and the journal of this module the connection.
func (d *store) As(target any) bool {
	switch t := target.(type) {
	case **goredis.Client:
		if t != nil {
			*t = d.conn.Client()
			return true
		}
	case *goredis.UniversalClient:
		if t != nil {
			*t = d.client
			return true
		}
	case **redisconn.Conn:
		if t != nil {
			*t = d.conn
			return true
		}
	}
	return false
}

// call runs fn within the timeout and explains its error. A result that comes with an error counts.
func call[T any](ctx context.Context, d *store, what string, fn func(ctx context.Context) (T, error)) (T, error) {
	value, err := redisconn.Do(ctx, d.conn, fn)
	return value, d.explain(what, err)
}
