package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// Environment variables that stand in for flags.
const (
	envBackend = "STRATA_BACKEND"
	envBus     = "STRATA_BUS"
)

// openStore opens a backend. What is wrong with its URL is a usage error.
func openStore(ctx context.Context, rawURL string) (*backend.Store, error) {
	if rawURL == "" {
		return nil, usage(fmt.Errorf("which backend? give --backend URL or set %s; known: %s", envBackend, strings.Join(backend.Schemes(), ", ")))
	}
	s, err := backend.Open(ctx, rawURL)
	return s, usage(err)
}

// openBus opens a bus on a server.
func openBus(ctx context.Context, rawURL string) (*invalidation.Bus, error) {
	switch {
	case !carriesBus(rawURL):
		return nil, usage(fmt.Errorf("bus %s: a bus is %s", redact(rawURL), busForms))
	case schemeOf(rawURL) == hazelcastconn.Scheme:
		b, err := hazelcastbus.Open(ctx, rawURL, nil)
		return b, usage(err)
	case slices.Contains(memcachedconn.Schemes(), schemeOf(rawURL)):
		b, err := memcachedbus.Open(ctx, rawURL, nil)
		return b, usage(err)
	}
	b, err := redisbus.Open(ctx, rawURL, nil)
	return b, usage(err)
}

// busForms are the URLs of buses, for people.
const busForms = "redis://, redis-sentinel://, redis-cluster://, the same with rediss for TLS, hazelcast://, memcached:// or memcacheds://"

// carriesBus reports whether a URL is of servers that can carry a bus.
func carriesBus(rawURL string) bool {
	scheme := schemeOf(rawURL)
	return scheme == hazelcastconn.Scheme || slices.Contains(slices.Concat(redisconn.Schemes(), memcachedconn.Schemes()), scheme)
}

func schemeOf(rawURL string) string {
	scheme, _, found := strings.Cut(rawURL, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// redact returns what may be shown of a URL.
func redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		if scheme := schemeOf(rawURL); scheme != "" && !strings.ContainsAny(scheme, "@:/?") {
			return scheme + "://…"
		}
		return "(not a URL)"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// closeAll closes what was opened, the last first, and joins its error to *err.
func closeAll(err *error, closers ...func() error) {
	for i := len(closers) - 1; i >= 0; i-- {
		*err = errors.Join(*err, closers[i]())
	}
}
