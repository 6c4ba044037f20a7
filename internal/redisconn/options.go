package redisconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// DefaultTimeout bounds a call, from waiting for a connection to the last byte of the reply.
const DefaultTimeout = 500 * time.Millisecond

// DefaultClientName is what CLIENT LIST shows for our connections.
const DefaultClientName = "strata"

// Options are the settings of a connection. A nil *Options and the zero value of every field mean the default. A value in
// the URL wins over the field, save that credentials given here win over those of the URL.
type Options struct {
	// Timeout bounds every call as a whole, and dialling, reading and writing each. Default: DefaultTimeout.
	// URL parameter: timeout (a Go duration such as 250ms).
	Timeout time.Duration

	// PoolSize is the highest number of connections for commands. Default: 10 for each CPU, the library's.
	// URL parameter: pool_size.
	PoolSize int

	// ClientName names the connections in CLIENT LIST; no spaces. Default: DefaultClientName. URL parameter: client_name.
	ClientName string

	// Username and Password authenticate, so that they need not be part of a URL. Default: those of the URL, or none.
	Username, Password string

	// TLS configures a rediss:// connection; with redis:// it is an error, as it would silently not be used.
	// Default: the system's roots and the URL's host name.
	TLS *tls.Config

	// OnConnect is called on each new connection, after it has authenticated and before it is used. Where it fails, the
	// connection is not used. Default: nothing.
	OnConnect func(ctx context.Context, c *redis.Conn) error
}

// resolve returns a copy with defaults in place, or an error that names every bad field.
func (o *Options) resolve() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Timeout < 0 {
		return out, fmt.Errorf("redisconn: Options.Timeout is %v: must not be negative", out.Timeout)
	}
	if out.PoolSize < 0 {
		return out, fmt.Errorf("redisconn: Options.PoolSize is %d: must not be negative", out.PoolSize)
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.ClientName == "" {
		out.ClientName = DefaultClientName
	}
	return out, nil
}
