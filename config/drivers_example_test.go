package config_test

import (
	"context"
	"log"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memcached" // importing a backend registers its schemes with backend.Open
	_ "github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// A program whose files may name Redis, also for journals, files for journals, Memcached with a pool that changes, compression and encryption. It leaves out what
// its files do not need, and then does not link it.
func ExampleDrivers() {
	drivers := config.Drivers{
		Stores: map[string]backend.Opener{
			"redis": backend.Open, "rediss": backend.Open, "redis-cluster": backend.Open, "memcached": backend.Open,
		},
		Buses:       map[string]config.BusOpener{"redis": openBus, "rediss": openBus, "redis-cluster": openBus},
		Journals:    map[string]config.JournalOpener{"redis": openJournal, "rediss": openJournal, "redis-cluster": openJournal, "file": openFile},
		Pools:       map[string]config.PoolOpener{"memcached": openPool},
		Compression: newCompressor,
		Encryption:  newKeyring,
	}
	set, err := config.Load(context.Background(), "strata.yaml", drivers)
	if err != nil {
		log.Fatal(err) // all mistakes of the file
	}
	defer set.Close()
}

func openBus(ctx context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
	if share != nil { // the store of a remote with the same URL
		return redisbus.New(share, &redisbus.Options{Options: *o})
	}
	return redisbus.Open(ctx, url, &redisbus.Options{Options: *o})
}

func openJournal(ctx context.Context, url string, share config.Client) (journal.Journal, error) {
	if share != nil { // likewise
		return redisjournal.New(share, nil)
	}
	return redisjournal.Open(ctx, url, nil)
}

func openFile(_ context.Context, url string, _ config.Client) (journal.Journal, error) {
	path, o, err := filejournal.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return filejournal.Open(path, o)
}

func openPool(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error) {
	return memcached.Open(ctx, url, &memcached.Options{Membership: members})
}

func newCompressor(algorithm string, threshold int) (codec.Compressor, error) {
	a, err := compression.ParseAlgorithm(algorithm)
	if err != nil {
		return nil, err
	}
	return compression.New(&compression.Options{Algorithm: a, Threshold: threshold})
}

func newKeyring(keys []config.Key) (codec.Cipher, error) {
	ring := make([]encryption.Key, len(keys))
	for i, k := range keys {
		var err error
		if ring[i], err = encryption.ParseKey(k.ID, k.Secret); err != nil {
			return nil, err
		}
	}
	return encryption.New(ring[0], ring[1:]...)
}
