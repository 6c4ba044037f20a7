package policy

import (
	"context"
	"time"

	"github.com/strata-cache/strata/internal/sentinel"
)

// ErrNotFound is a loader's answer that its source has no such value.
var ErrNotFound = sentinel.ErrNotFound

// A Mode is what a cache does when it is written.
type Mode uint8

const (
	Aside Mode = iota // the application writes the source, and invalidates
)

func (m Mode) String() string {
	if m == Aside {
		return "cache-aside"
	}
	return "unknown"
}

// A Policy says how a cache relates to its source. The zero Policy has no source: what is not cached is not found.
type Policy[K comparable, V any] struct {
	Mode   Mode
	Loader Loader[K, V] // nil: reads never reach a source
	Store  Store[K, V]  // nil: writes never do
}

// CacheAside reads through loader, which may be nil. The application writes the source itself.
func CacheAside[K comparable, V any](loader Loader[K, V]) Policy[K, V] {
	return Policy[K, V]{Mode: Aside, Loader: loader}
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

// A Store writes the source. Package tier calls it in the modes that write.
type Store[K comparable, V any] interface {
	Store(ctx context.Context, key K, value V) error
	Delete(ctx context.Context, key K) error
}
