package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/internal/redisconn"
)

// stripes is how many batchers a cluster has, each for a range of slots: a member that hangs holds up the reads of its
// ranges only.
const stripes = 16

// store is the driver. It knows one server at a time: which, and whether it sends a command on to another, is the matter of
// its connection.
type store struct {
	conn     *redisconn.Conn
	batchers []*batcher // one, of a cluster stripes
	identity identity
}

var _ interface {
	driver.Driver
	driver.Counter
	driver.Scanner
	driver.Statser
	driver.StaleReader
	driver.Identifier
	driver.Rewinder
	driver.RiderWriter
	driver.Limiter
	driver.Native
} = (*store)(nil)

// batcher returns the one for a key.
func (d *store) batcher(key string) *batcher {
	if len(d.batchers) == 1 {
		return d.batchers[0]
	}
	return d.batchers[redisconn.Slot(key)*stripes/redisconn.Slots]
}

// Ping makes one round trip to every primary.
func (d *store) Ping(ctx context.Context) error {
	primaries, err := d.conn.Primaries(ctx)
	if err != nil {
		return d.explain("ping", d.conn.Server(), err)
	}
	failures := make([]error, len(primaries))
	var asking sync.WaitGroup
	for i, n := range primaries {
		asking.Go(func() { // ends with its command
			_, err := redisconn.DoAt(ctx, d.conn, n, func(ctx context.Context) (string, error) { return n.Client().Ping(ctx).Result() })
			failures[i] = d.explain("ping", n.Server(), err)
		})
	}
	asking.Wait()
	if i := slices.IndexFunc(failures, isContext); i >= 0 {
		return failures[i] // the caller's, as it is
	}
	return errors.Join(failures...)
}

// MaxRecord is the longest string that is taken from a server. Redis's own limit is 512 MiB.
func (d *store) MaxRecord() int { return d.conn.MaxValue() }

// String is the URL without password and parameters.
func (d *store) String() string { return d.conn.Redacted() }

// GoString is String too: %#v would print the fields.
func (d *store) GoString() string { return fmt.Sprintf("redis.store(%s)", d.conn.Redacted()) }

// Close lets what is under way end, which takes at most about the timeout.
func (d *store) Close() error {
	for _, b := range d.batchers {
		b.close()
	}
	return d.conn.Close()
}

// As hands out the native client, and to the bus and the journal of this module the connection.
func (d *store) As(target any) bool {
	switch t := target.(type) {
	case **goredis.Client:
		return t != nil && !d.conn.Clustered() && assign(t, d.conn.Client())
	case **goredis.ClusterClient:
		return t != nil && d.conn.Clustered() && assign(t, d.conn.Client())
	case *goredis.UniversalClient:
		return t != nil && assign(t, d.conn.Client())
	case **redisconn.Conn:
		if t != nil {
			*t = d.conn
			return true
		}
	}
	return false
}

func assign[C goredis.UniversalClient](target *C, client goredis.UniversalClient) bool {
	c, ok := client.(C)
	if ok {
		*target = c
	}
	return ok
}
