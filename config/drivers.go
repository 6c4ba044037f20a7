package config

import (
	"context"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/invalidation"
)

// Drivers are the servers that a configuration may name, by URL scheme. The zero value knows none.
type Drivers struct {
	// Stores open remote tiers: "redis" for redis.Open, and so on.
	Stores map[string]backend.Opener

	// Buses open buses.
	Buses map[string]BusOpener
}

// A BusOpener opens a bus by URL. It succeeds while the server is down. share is the remote tier that was opened with the
// same URL, nil if there is none: a transport may publish through its client.
//
//	func(ctx context.Context, url string, share config.Client) (*invalidation.Bus, error) {
//		if share != nil {
//			return redisbus.New(share, nil)
//		}
//		return redisbus.Open(ctx, url, nil)
//	}
type BusOpener func(ctx context.Context, url string, share Client) (*invalidation.Bus, error)

// A Client is who can be asked for the client of a server, as a [backend.Store] can.
type Client interface {
	As(target any) bool
}
