package policy

import "context"

// A Store writes the source. It is called concurrently, though once at a time for a key in a process, with the context of who
// writes. It must not write the same key of the same cache.
//
// When a method returns without an error, every later load of the key has to find what was written, or newer. An error that is
// [ErrNotWritten] is a definite answer; after any other, and after a panic, the change may have happened, or may still happen.
type Store[K comparable, V any] interface {
	// Store makes the source have value at key.
	Store(ctx context.Context, key K, value V) error

	// Delete makes the source have nothing at key. That there was nothing is no error, or ErrNotFound.
	Delete(ctx context.Context, key K) error
}

// A Change is what the source is to have at one key.
type Change[K comparable, V any] struct {
	Key    K
	Value  V
	Delete bool // the source is to have nothing; Value is zero

	// Version is larger for a later change of the key, on whatever node it was accepted. A source that keeps the version of what it
	// has must leave alone what is as new or newer, also a deletion, and call that done: under write-behind a change may come
	// twice, and after a newer one. It is 0 where the order of calls is that of the changes, as under write-through: the
	// source counts by itself then.
	Version uint64

	// ID names the change: one that comes again has the same. It is zero where none comes twice.
	ID [16]byte
}

// A BatchStore is a [Store] that makes many changes in one request. Where it is implemented, what is written behind and the calls
// for several keys use it.
type BatchStore[K comparable, V any] interface {
	// StoreMany makes all changes, which are of distinct keys, or none: nil says that the source has all of them, or newer; an error
	// that is ErrNotWritten that it has none, and will not; after any other nobody knows of any. The slice must not be kept.
	StoreMany(ctx context.Context, changes []Change[K, V]) error
}
