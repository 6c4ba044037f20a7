package redisconn

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// unacknowledged is after how many timeouts the kernel gives up on a connection whose packets nobody acknowledges.
const unacknowledged = 4

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// clientOptions are the settings of the client of one server, which doc.go explains.
func (t *target) clientOptions(addr string) *redis.Options {
	o := &redis.Options{
		Network:    "tcp",
		Addr:       addr,
		DB:         t.db,
		Username:   t.opts.Username,
		Password:   t.opts.Password,
		ClientName: t.opts.ClientName,
		Protocol:   t.opts.Protocol,
		Dialer:     t.dialer(),

		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           t.opts.Timeout,
		ReadTimeout:           t.opts.Timeout,
		WriteTimeout:          t.opts.Timeout,
		PoolTimeout:           t.opts.Timeout,
		PoolSize:              t.opts.PoolSize,
		PipelinePoolSize:      -1, // no second pool: PoolSize would not be the limit, and a dial that fails would be repeated
		MinIdleConns:          t.opts.MinIdle,
		ConnMaxIdleTime:       t.opts.MaxIdleTime,
		ConnMaxLifetime:       t.opts.MaxAge,
		ConnMaxLifetimeJitter: t.opts.MaxAge / 10,
		ContextTimeoutEnabled: true,

		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if t.opts.Credentials != nil {
		o.CredentialsProviderContext = t.askForCredentials
	}
	return o
}

// dialer returns the function that makes a connection, of TLS where the URL says so.
func (t *target) dialer() dialFunc {
	dial := t.opts.Dialer
	if dial == nil {
		dial = (&net.Dialer{
			Timeout:   t.opts.Timeout,
			KeepAlive: 15 * time.Second,
			Control:   userTimeout(unacknowledged * t.opts.Timeout),
		}).DialContext
	} else {
		own := dial
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := own(ctx, network, addr)
			return conn, asDialError(network, addr, err)
		}
	}
	if t.tls {
		dial = overTLS(dial, t.opts.TLS)
	}
	return guarding(dial, t.opts.MaxValue)
}

// asDialError makes whatever a user's Dialer returns an error by which nothing was sent.
func asDialError(network, addr string, err error) error {
	if err == nil || isDial(err) {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Addr: hostPort(addr), Err: err}
}

// hostPort is an address that a server announces, whatever it is dialled through.
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (a hostPort) String() string { return string(a) }
