package main

import (
	"context"
	"errors"

	"github.com/strata-cache/strata/backend"
	_ "github.com/strata-cache/strata/backend/hazelcast" // these register their URL schemes with package backend
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/backend/memory"
	_ "github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/memcachedconn"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/hazelcastbus"
	"github.com/strata-cache/strata/invalidation/membus"
	"github.com/strata-cache/strata/invalidation/memcachedbus"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/memjournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// drivers are all that a configuration may name.
func drivers() config.Drivers {
	d := config.Drivers{
		Stores: map[string]backend.Opener{}, Buses: map[string]config.BusOpener{"memory": openMemoryBus}, Pools: map[string]config.PoolOpener{},
		// A file is no server that could be asked, and the program that writes there may have it open.
		Journals: map[string]config.JournalOpener{"memory": openMemoryJournal, "file": openMemoryJournal},
		CheckURL: checkURL, Compression: newCompressor, Encryption: newCipher,
	}
	for _, scheme := range backend.Schemes() {
		d.Stores[scheme] = backend.Open
	}
	for _, scheme := range redisconn.Schemes() {
		d.Buses[scheme] = func(ctx context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
			if share != nil {
				return redisbus.New(share, &redisbus.Options{Options: *o})
			}
			return redisbus.Open(ctx, url, &redisbus.Options{Options: *o})
		}
		d.Journals[scheme] = func(ctx context.Context, url string, share config.Client) (journal.Journal, error) {
			if share != nil {
				return redisjournal.New(share, nil)
			}
			return redisjournal.Open(ctx, url, nil)
		}
	}
	d.Buses[hazelcastconn.Scheme] = func(ctx context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
		if share != nil {
			return hazelcastbus.New(share, &hazelcastbus.Options{Options: *o})
		}
		return hazelcastbus.Open(ctx, url, &hazelcastbus.Options{Options: *o})
	}
	for _, scheme := range memcachedconn.Schemes() {
		d.Buses[scheme] = func(ctx context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
			if share != nil {
				return memcachedbus.New(share, &memcachedbus.Options{Options: *o})
			}
			return memcachedbus.Open(ctx, url, &memcachedbus.Options{Options: *o})
		}
		d.Pools[scheme] = func(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error) {
			return memcached.Open(ctx, url, &memcached.Options{Membership: members})
		}
	}
	return d
}

// offline are the same drivers, talking to nobody: they open memory in the place of servers.
func offline() config.Drivers {
	d := drivers()
	for scheme := range d.Stores {
		d.Stores[scheme] = func(context.Context, string) (*backend.Store, error) { return memory.New(nil), nil }
	}
	for scheme := range d.Buses {
		d.Buses[scheme] = openMemoryBus
	}
	for scheme := range d.Journals {
		d.Journals[scheme] = openMemoryJournal
	}
	for scheme := range d.Pools {
		d.Pools[scheme] = func(context.Context, string, *invalidation.Registry) (*backend.Store, error) {
			return memory.New(nil), nil
		}
	}
	return d
}

// checkURL opens what does not connect by being opened.
func checkURL(url string) error {
	switch schemeOf(url) {
	case hazelcastconn.Scheme:
		return hazelcastconn.Check(url)
	case "file":
		_, _, err := filejournal.ParseURL(url)
		return err
	}
	s, err := backend.Open(context.Background(), url)
	if err != nil {
		return err
	}
	return s.Close()
}

func openMemoryBus(_ context.Context, _ string, _ config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
	return membus.Bus(membus.NewHub(), o), nil
}

func openMemoryJournal(context.Context, string, config.Client) (journal.Journal, error) {
	return memjournal.New(), nil
}

func newCompressor(algorithm string, threshold int) (codec.Compressor, error) {
	a, err := compression.ParseAlgorithm(algorithm)
	if err != nil {
		return nil, err
	}
	return compression.New(&compression.Options{Algorithm: a, Threshold: threshold})
}

func newCipher(keys []config.Key) (codec.Cipher, error) {
	ring := make([]encryption.Key, len(keys))
	var problems []error
	for i, k := range keys {
		var err error
		ring[i], err = encryption.ParseKey(k.ID, k.Secret)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return encryption.New(ring[0], ring[1:]...)
}
