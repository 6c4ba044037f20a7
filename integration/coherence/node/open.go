package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/strata-cache/strata/backend"
	_ "github.com/strata-cache/strata/backend/hazelcast" // these register their URL schemes with package backend
	_ "github.com/strata-cache/strata/backend/memcached"
	_ "github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// buses are the transports by the schemes of their URLs. With a store they use its client.
var buses = map[string]func(ctx context.Context, url, name string, store *backend.Store) (*invalidation.Bus, error){
	"redis": func(ctx context.Context, url, name string, store *backend.Store) (*invalidation.Bus, error) {
		o := &redisbus.Options{Name: name}
		if store != nil {
			return redisbus.New(store, o)
		}
		return redisbus.Open(ctx, url, o)
	},
	"hazelcast": func(ctx context.Context, url, name string, store *backend.Store) (*invalidation.Bus, error) {
		o := &hazelcastbus.Options{Name: name}
		if store != nil {
			return hazelcastbus.New(store, o)
		}
		return hazelcastbus.Open(ctx, url, o)
	},
	"memcached": func(ctx context.Context, url, name string, store *backend.Store) (*invalidation.Bus, error) {
		o := &memcachedbus.Options{Name: name}
		if store != nil {
			return memcachedbus.New(store, o)
		}
		return memcachedbus.Open(ctx, url, o)
	},
}

// Buses reports whether a URL with this scheme can carry a bus.
func Buses(scheme string) bool { return buses[kind(scheme)] != nil }

// kind is the product that a scheme belongs to.
func kind(scheme string) string {
	if strings.HasPrefix(scheme, "redis") {
		return "redis"
	}
	return scheme
}

// open opens the backend and the bus of c.
func open(ctx context.Context, c *Config) (*backend.Store, *invalidation.Bus, error) {
	store, err := backend.Open(ctx, c.Backend)
	if err != nil {
		return nil, nil, err
	}
	scheme, _, _ := strings.Cut(c.Bus, "://")
	openBus := buses[kind(scheme)]
	if openBus == nil {
		store.Close()
		return nil, nil, fmt.Errorf("node: no bus on %s://", scheme)
	}
	shared := store
	if !c.Shared {
		shared = nil
	}
	bus, err := openBus(ctx, c.Bus, c.Run, shared)
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return store, bus, nil
}
