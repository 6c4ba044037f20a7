package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/tier"
)

// cacheFlags name a cache of running programs.
type cacheFlags struct {
	backend string
	bus     string
	cache   string
	version string
	timeout time.Duration
}

func (f *cacheFlags) add(cmd *cobra.Command, withBus bool) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.backend, "backend", "b", "", "URL of the remote tier (default $STRATA_BACKEND)")
	flags.StringVarP(&f.cache, "cache", "c", "", "name of the cache, as the program gives it to tier.New")
	flags.StringVar(&f.version, "cache-version", "1", "the program's Options.Version")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Second, "for the whole command")
	if withBus {
		flags.StringVar(&f.bus, "bus", "", "URL of the bus that the nodes listen to, redis://… (default $STRATA_BUS)")
	}
}

// open opens the remote tier.
func (f *cacheFlags) open(ctx context.Context) (*backend.Store, error) {
	if f.timeout <= 0 {
		return nil, usage(errors.New("--timeout must be positive"))
	}
	if f.cache == "" {
		return nil, usage(errors.New("which cache? give --cache NAME"))
	}
	if f.backend == "" {
		f.backend = os.Getenv(envBackend)
	}
	return openStore(ctx, f.backend)
}

// with calls do with what changes the cache from outside.
func (f *cacheFlags) with(ctx context.Context, do func(context.Context, *tier.Outsider) error) (err error) {
	store, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer closeAll(&err, store.Close)
	if f.bus == "" {
		f.bus = os.Getenv(envBus)
	}
	var bus *invalidation.Bus
	if f.bus != "" {
		if bus, err = openBus(ctx, f.bus, nil); err != nil {
			return err
		}
		defer closeAll(&err, bus.Close)
	}
	o, err := tier.Outside(f.cache, &tier.OutsideOptions{Remote: store, Bus: bus, Version: f.version})
	if err != nil {
		return usage(err)
	}
	defer closeAll(&err, o.Close)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return do(ctx, o)
}

// remoteKey is the key as package tier writes it for the remote tier.
func (f *cacheFlags) remoteKey(key string) string {
	return remotekey.Join(remotekey.Prefix(f.cache, f.version), key)
}
