package redisconn

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// unacknowledged is after how many timeouts the kernel gives up on a connection whose packets nobody acknowledges.
const unacknowledged = 4

// clientOptions are the settings that doc.go explains.
func clientOptions(t target) *redis.Options {
	return &redis.Options{
		Network:    "tcp",
		Addr:       t.addr,
		DB:         t.db,
		Username:   t.opts.Username,
		Password:   t.opts.Password,
		ClientName: t.opts.ClientName,
		Protocol:   2,
		Dialer:     dialer(t),
		OnConnect:  t.opts.OnConnect,

		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           t.opts.Timeout,
		ReadTimeout:           t.opts.Timeout,
		WriteTimeout:          t.opts.Timeout,
		PoolTimeout:           t.opts.Timeout,
		PoolSize:              t.opts.PoolSize,
		ContextTimeoutEnabled: true,

		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// dialer returns the function that makes a connection, of TLS where the URL says so.
func dialer(t target) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{
		Timeout:   t.opts.Timeout,
		KeepAlive: 15 * time.Second,
		Control:   userTimeout(unacknowledged * t.opts.Timeout),
	}
	if !t.tls {
		return plain.DialContext
	}
	config := &tls.Config{}
	if t.opts.TLS != nil {
		config = t.opts.TLS.Clone()
	}
	return (&tls.Dialer{NetDialer: plain, Config: config}).DialContext
}
