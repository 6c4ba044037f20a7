package config

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy/journal"
)

// Drivers are the servers that a configuration may name, by URL scheme. The zero value knows none.
type Drivers struct {
	// Stores open remote tiers: "redis" for redis.Open, and so on.
	Stores map[string]backend.Opener

	// Buses open buses.
	Buses map[string]BusOpener

	// Journals open journals, for caches that write behind.
	Journals map[string]JournalOpener

	// Pools open remote tiers that have a membership: a list of servers that can change.
	Pools map[string]PoolOpener

	// CheckURL tells what is wrong with the URL of a remote tier, bus or journal, of a scheme that is known, without connecting; its text
	// must not show a secret. nil: only openers tell, once the rest of the file has no mistake.
	CheckURL func(url string) error

	// Compression makes what compresses values by an algorithm, "s2" or "zstd", from a size on; usually compression.New. nil:
	// no file may name one.
	Compression func(algorithm string, threshold int) (codec.Compressor, error)

	// Encryption makes what encrypts values of the keys of a ring, at least one, the first for writing; usually encryption.New.
	// Its errors must not show a secret. nil: no file may have key rings.
	Encryption func(keys []Key) (codec.Cipher, error)
}

func (d Drivers) storeSchemes() []string   { return slices.Sorted(maps.Keys(d.Stores)) }
func (d Drivers) busSchemes() []string     { return slices.Sorted(maps.Keys(d.Buses)) }
func (d Drivers) journalSchemes() []string { return slices.Sorted(maps.Keys(d.Journals)) }

// A PoolOpener opens a remote tier by URL, whose servers are what members say: a register on a bus, which stays open for
// longer than the tier. It succeeds while the servers and the bus are down.
//
//	func(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error) {
//		return memcached.Open(ctx, url, &memcached.Options{Membership: members})
//	}
type PoolOpener func(ctx context.Context, url string, members *invalidation.Registry) (*backend.Store, error)

// A Key is one of a key ring. However it is printed, it shows its ID alone.
type Key struct {
	ID     string
	Secret string // as it was written: encryption.ParseKey reads it
}

// String returns the ID.
func (k Key) String() string { return "key " + k.ID }

// Format prints what String returns, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue logs what String returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A BusOpener opens a bus by URL. It succeeds while the server is down. share is the remote tier that was opened with the
// same URL, nil if there is none: a transport may publish through its client. o has the keys of the file, if it has any, and is
// never nil: a bus that is opened without them neither signs nor checks.
//
//	func(ctx context.Context, url string, share config.Client, o *invalidation.Options) (*invalidation.Bus, error) {
//		if share != nil {
//			return redisbus.New(share, &redisbus.Options{Options: *o})
//		}
//		return redisbus.Open(ctx, url, &redisbus.Options{Options: *o})
//	}
type BusOpener func(ctx context.Context, url string, share Client, o *invalidation.Options) (*invalidation.Bus, error)

// A JournalOpener opens a journal by URL. It succeeds while its server is down. share is the remote tier that was opened with the
// same URL, nil if there is none: a journal may write through its client.
//
//	func(ctx context.Context, url string, share config.Client) (journal.Journal, error) {
//		if share != nil {
//			return redisjournal.New(share, nil)
//		}
//		return redisjournal.Open(ctx, url, nil)
//	}
type JournalOpener func(ctx context.Context, url string, share Client) (journal.Journal, error)

// A Client is who can be asked for the client of a server, as a [backend.Store] can.
type Client interface {
	As(target any) bool
}
