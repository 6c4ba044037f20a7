package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/secret"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
)

// Environment variables that stand in for flags.
const (
	envBackend = "STRATA_BACKEND"
	envBus     = "STRATA_BUS"
	envBusKeys = "STRATA_BUS_KEYS" // there is no flag for it: the list of processes would show it
)

// openStore opens a backend. What is wrong with its URL is a usage error.
func openStore(ctx context.Context, rawURL string) (*backend.Store, error) {
	if rawURL == "" {
		return nil, usage(fmt.Errorf("which backend? give --backend URL or set %s; known: %s", envBackend, strings.Join(backend.Schemes(), ", ")))
	}
	s, err := backend.Open(ctx, rawURL)
	return s, usage(err)
}

// openBus opens a bus on a server. onEvent may be nil.
func openBus(ctx context.Context, rawURL string, onEvent func(invalidation.Event)) (*invalidation.Bus, error) {
	if !carriesBus(rawURL) {
		return nil, usage(fmt.Errorf("bus %s: a bus is %s", redact(rawURL), busForms))
	}
	keys, err := busKeys(os.Getenv(envBusKeys))
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", envBusKeys, err))
	}
	o := invalidation.Options{Keys: keys, OnEvent: onEvent}
	var b *invalidation.Bus
	switch {
	case schemeOf(rawURL) == hazelcastconn.Scheme:
		b, err = hazelcastbus.Open(ctx, rawURL, &hazelcastbus.Options{Options: o})
	case slices.Contains(memcachedconn.Schemes(), schemeOf(rawURL)):
		b, err = memcachedbus.Open(ctx, rawURL, &memcachedbus.Options{Options: o})
	default:
		b, err = redisbus.Open(ctx, rawURL, &redisbus.Options{Options: o})
	}
	return b, usage(err)
}

// busKeys reads ID:KEY,ID:KEY: nothing is no ring. Errors do not quote a key.
func busKeys(list string) (*invalidation.Keyring, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var keys []invalidation.Key
	for i, entry := range strings.Split(list, ",") {
		id, text, found := strings.Cut(strings.TrimSpace(entry), ":")
		if !found {
			return nil, fmt.Errorf("entry %d is not ID:KEY", i+1)
		}
		if secret.CheckID(id) != nil { // it may be a key in the wrong place
			return nil, fmt.Errorf("the id of entry %d must be 1 to 64 letters, digits, '.', '_' or '-'", i+1)
		}
		key, err := invalidation.ParseKey(id, text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return invalidation.NewKeyring(keys[0], keys[1:]...)
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
