package redisconn

import (
	"context"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/sentinel"
)

// Client returns the library's client for what strata does not do: a *redis.Client, or of a cluster a
// *redis.ClusterClient. It belongs to the Conn. Commands through it obey a context's deadline but not its cancellation. A
// *redis.Client repeats nothing; a *redis.ClusterClient follows redirections, and repeats what failed, as the library does:
// nothing of strata passes through it. After Close its commands fail.
func (c *Conn) Client() redis.UniversalClient {
	if o, ok := c.topology.(one); ok {
		return o.node.client
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given == nil {
		if c.target.kind == cluster {
			c.given = redis.NewClusterClient(c.target.clusterOptions())
		} else {
			c.given = c.followPrimary()
		}
		if c.closed {
			_ = c.given.Close() // it was never used
		}
	}
	return c.given
}

// followPrimary makes a client whose new connections lead to the primary of the moment.
func (c *Conn) followPrimary() *redis.Client {
	o := c.target.clientOptions(c.target.master)
	dial := o.Dialer
	o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if c.isClosed() {
			return nil, fmt.Errorf("redisconn: %s: %w", c.Server(), sentinel.ErrClosed)
		}
		n, err := c.Primary(ctx, "")
		if err != nil {
			return nil, asDialError(network, c.target.master, err)
		}
		return dial(ctx, network, n.addr)
	}
	o.OnConnect = func(ctx context.Context, conn *redis.Conn) error { return check(ctx, conn, primary) }
	return redis.NewClient(o)
}

func (t *target) clusterOptions() *redis.ClusterOptions {
	o := t.clientOptions("")
	return &redis.ClusterOptions{
		Addrs:                      t.hosts,
		ClientName:                 o.ClientName,
		Dialer:                     o.Dialer,
		Protocol:                   o.Protocol,
		Username:                   o.Username,
		Password:                   o.Password,
		CredentialsProviderContext: o.CredentialsProviderContext,
		MaxRetries:                 o.MaxRetries,
		DialTimeout:                o.DialTimeout,
		DialerRetries:              o.DialerRetries,
		ReadTimeout:                o.ReadTimeout,
		WriteTimeout:               o.WriteTimeout,
		PoolTimeout:                o.PoolTimeout,
		PoolSize:                   o.PoolSize,
		ConnMaxIdleTime:            o.ConnMaxIdleTime,
		ConnMaxLifetime:            o.ConnMaxLifetime,
		ConnMaxLifetimeJitter:      o.ConnMaxLifetimeJitter,
		ContextTimeoutEnabled:      true,
		DisableIdentity:            true,
		MaintNotificationsConfig:   o.MaintNotificationsConfig,
	}
}
