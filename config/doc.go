// Package config makes remote tiers, buses, journals and caches from a YAML file and the environment.
//
//	set, err := config.Load(ctx, "strata.yaml", config.Drivers{
//		Stores: map[string]backend.Opener{"redis": backend.Open, "memcached": backend.Open}, // whose packages it imports
//		Buses:  map[string]config.BusOpener{"redis": openRedisBus},                            // the example of Drivers has it
//	})
//	defer set.Close()
//	products, err := config.Cache(set, "products", config.Source(productTable))
//
// The file says where the servers are, and how large and how long-lived each cache is; the program brings what only code can:
// the source, and the few functions in [Hooks]. Which servers a file may name is the program's choice too: it hands in
// their openers as [Drivers], and links no other client.
//
//	remotes:
//	  main: redis://:${REDIS_PASSWORD}@cache:6379
//	buses:
//	  main: redis://:${REDIS_PASSWORD}@cache:6379
//	defaults:
//	  remote: main
//	  bus: main
//	caches:
//	  products:
//	    ttl: 10m
//	    local_cost: 256MiB
//
// docs/configuration.md lists every field.
//
// # Servers
//
// Equal URLs share one client: two remotes of the same URL are one Store, two buses one Bus, two journals one Journal, and a bus or
// journal whose URL is that of a remote is given its Store, to work through the same connections. URLs are equal if they are the same text once
// variables are in. A remote may have a prefix and a timeout of its own, and its list of servers on a bus, if the program
// hands in a [PoolOpener].
//
// # Modes
//
// The field mode says what a cache does when it is written, and is the one line to change: cache-aside needs a source that loads;
// write-through, and write-behind with a journal, one that also stores. Journals are opened as buses are, by a [JournalOpener]
// of the program.
//
// # Compression and encryption
//
// A file may ask for either, cache by cache, and name the keys: in variables or files, never in itself. What does it is the
// program's choice again, so that nobody links what no file of theirs asks for:
//
//	drivers.Compression = func(algorithm string, threshold int) (codec.Compressor, error) {
//		a, err := compression.ParseAlgorithm(algorithm)
//		if err != nil {
//			return nil, err
//		}
//		return compression.New(&compression.Options{Algorithm: a, Threshold: threshold})
//	}
//
// # Strictness
//
// A file with a mistake opens nothing. All mistakes are reported at once, as [Errors], each with its path, line and column:
// unknown fields and names, with the nearest one that exists; duplicate keys; values that are malformed or out of
// bounds; variables that are not set; keys that stand in the file. Text that came from a variable is never shown, and neither is a URL.
package config
