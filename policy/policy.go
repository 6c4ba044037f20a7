package policy

import (
	"context"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/policy/journal"
)

// ErrNotFound is a loader's answer that its source has no such value.
var ErrNotFound = sentinel.ErrNotFound

// ErrNotWritten is a [Store]'s word that the source was not changed, and will not be by what was asked: a constraint refused it,
// or the transaction was rolled back. Of any other error of a Store nobody knows whether it was.
var ErrNotWritten = sentinel.ErrNotWritten

// ErrRejected is a [Store]'s word that the source does not take this change, whatever the state it is in: a constraint refuses the value.
// It is also ErrNotWritten. Under write-behind such a change becomes a dead letter after a few attempts, as does one that fails for
// another reason while others do not; while all fail, as when the source is down, none does.
var ErrRejected = sentinel.ErrRejected

// A Mode is what a cache does when it is written.
type Mode uint8

const (
	Aside   Mode = iota // the application writes the source, and invalidates
	Through             // the cache writes the source, and then what it holds
	Behind              // the cache accepts writes into a journal, and writes the source behind
)

func (m Mode) String() string {
	switch m {
	case Aside:
		return "cache-aside"
	case Through:
		return "write-through"
	case Behind:
		return "write-behind"
	}
	return "unknown"
}

// A Policy says how a cache relates to its source. The zero Policy has no source: what is not cached is not found.
type Policy[K comparable, V any] struct {
	Mode   Mode
	Loader Loader[K, V] // nil: reads never reach a source
	Store  Store[K, V]  // nil: writes never do

	// Of Behind.
	Journal journal.Journal // whoever opened it closes it, after the cache
	Writing journal.Options // how what is pending is written
}

// CacheAside reads through loader, which may be nil. The application writes the source itself.
func CacheAside[K comparable, V any](loader Loader[K, V]) Policy[K, V] {
	return Policy[K, V]{Mode: Aside, Loader: loader}
}

// WriteThrough reads and writes through source: Set, SetMany and Delete return when the source has what was written. All nodes of
// a cache have to use it, and nothing else may write the source without telling the cache.
func WriteThrough[K comparable, V any](source Source[K, V]) Policy[K, V] {
	return Policy[K, V]{Mode: Through, Loader: source, Store: source}
}

// WriteBehind reads through source, and accepts writes into j: Set, SetMany and Delete return when j has what was written, and
// the source gets it behind, in batches if it is a [BatchStore]. Until it has, reads find the accepted write: on all nodes if j is
// shared, else on the node that accepted it. o says how, nil for the defaults. All nodes of a cache have to use it, and nothing else
// may write the source without telling the cache.
//
// The source is told of a change at least once, and of the last one of a key at last; of several that follow each other at one key it
// may be told of the last only. A change that comes late, by a node that was held up, has a smaller Version than what the
// source was told before: see [Change].
func WriteBehind[K comparable, V any](source Source[K, V], j journal.Journal, o *journal.Options) Policy[K, V] {
	return Policy[K, V]{Mode: Behind, Loader: source, Store: source, Journal: j, Writing: o.WithDefaults()}
}

// A Source is a system of record that a cache both reads and writes.
type Source[K comparable, V any] interface {
	Loader[K, V]
	Store[K, V]
}

// A Loader reads one value from the source. It is called concurrently, though once at a time for a key in a process. The
// context ends at the cache's load timeout, or when nobody waits any more; it carries the values of the first caller's.
type Loader[K comparable, V any] interface {
	Load(ctx context.Context, key K) (V, error)
}

// A LoaderFunc is a function as a [Loader].
type LoaderFunc[K comparable, V any] func(ctx context.Context, key K) (V, error)

// Load calls f.
func (f LoaderFunc[K, V]) Load(ctx context.Context, key K) (V, error) { return f(ctx, key) }

// An Answer is what a source says of one key.
type Answer[V any] struct {
	Value     V
	Err       error         // ErrNotFound is an answer, any other error is none
	TTL       time.Duration // instead of the cache's, if positive
	Tags      []string      // kept with the value
	Version   uint64        // the source's own, 0 for none
	Unchanged bool          // what was held is still true; Value is not looked at
}

// A BatchLoader is a [Loader] that can read many values in one request.
type BatchLoader[K comparable, V any] interface {
	// LoadMany returns one answer for each key, in order. An error means that it knows of none. The keys are distinct.
	LoadMany(ctx context.Context, keys []K) ([]Answer[V], error)
}

// A Refresher is a [Loader] that can say more than a value, or use what is held to save work.
type Refresher[K comparable, V any] interface {
	// Refresh reads key from the source. held is what the cache has, nil for nothing; it must not be changed.
	Refresh(ctx context.Context, key K, held *Answer[V]) Answer[V]
}
