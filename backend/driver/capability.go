package driver

import (
	"context"
	"time"
)

// A Counter keeps integers, apart from records.
type Counter interface {
	// Count adds delta to the integer at key, which begins at 0, and returns the sum. Each call renews ttl, which is
	// positive; the counter may live longer. On an error the outcome is unknown.
	Count(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// A Scanner can list keys.
type Scanner interface {
	// Scan calls yield with batches of the keys that begin with prefix, until yield returns false. A key that is there
	// from beginning to end is yielded at least once, others perhaps. The prefix is of the form of a key.
	Scan(ctx context.Context, prefix string, yield func(keys []string) bool) error
}

// A Limiter stores records of a bounded size only.
type Limiter interface {
	// MaxRecord is the length of the longest record in bytes. Package backend refuses longer ones before they are sent.
	MaxRecord() int
}

// A Statser can describe its servers.
type Statser interface {
	// Stats returns what each server tells of itself, by server name.
	Stats(ctx context.Context) (map[string]map[string]string, error)
}

// A StaleReader can read where answers may be behind, and a server that owns the key need not answer: from replicas.
type StaleReader interface {
	// GetStale is Get, except that a result may be older than a write that was acknowledged before, by any time. Where it
	// cannot be had that way it is what Get returns.
	GetStale(ctx context.Context, keys []string) []Result
}

// An Identifier can tell when it talks to another server than before.
type Identifier interface {
	// OnServer registers a hook that is called with a server's name and identity on each new connection, before the
	// connection is used. A server that lost its data has another identity. The hook must not use the driver.
	OnServer(hook func(server, identity string))
}

// A Rewinder is an Identifier whose servers, when they have another identity, may hold older data than before: of a replica that
// was behind, or an old snapshot. Of one that is none, what another identity holds is new.
type Rewinder interface {
	MayRewind() bool
}

// A Rider is a step of somebody else, the bus or a journal, that can travel with a write to the same server. Its
// meaning is known to its maker and to the one driver that recognises its type.
type Rider interface {
	// Server identifies the server for which it was made.
	Server() string
}

// A RiderWriter writes and runs riders in one round trip: each rider after all ops, whatever became of these. Every op has its
// effect, and every rider a reply, nil if it has none. The error says that nothing was sent; ErrUnsupported, that these do not
// travel together. Package tier takes separate steps then, or where a driver is none.
type RiderWriter interface {
	WriteWith(ctx context.Context, ops []Op, riders ...Rider) (effects []Effect, replies [][]byte, err error)
}

// A Native hands out the client it is built on.
type Native interface {
	// As sets *target, whose type the driver's documentation lists, and reports whether it did.
	As(target any) bool
}

// All is every capability. A decorator that changes keys, or must see every call, implements it: what it did not implement
// would go around it.
type All interface {
	Driver
	Counter
	Scanner
	Limiter
	Statser
	StaleReader
	Identifier
	Rewinder
	RiderWriter
	Native
}

// As finds capability T in d, or in what d decorates, as its method Unwrap() Driver says. What a decorator implements counts
// only if what it decorates has it too, so that [All] can be implemented over any driver: the methods of an absent
// capability are never called.
func As[T any](d Driver) (T, bool) {
	var none T
	found := none
	has := false
	for d != nil {
		t, ok := d.(T)
		if ok && !has {
			found, has = t, true
		}
		u, wraps := d.(interface{ Unwrap() Driver })
		if !wraps {
			if !ok {
				return none, false
			}
			return found, true
		}
		d = u.Unwrap()
	}
	return none, false
}
