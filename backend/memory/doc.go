// Package memory is a remote tier within the process: for tests, demos, and programs of one process that want their
// caches over one bounded store. What it does is what a server does, down to the bytes that are copied in and out.
//
//	store := memory.New(nil)
//	store, err := backend.Open(ctx, "memory://")              // a store of its own
//	store, err := backend.Open(ctx, "memory://sessions?max=67108864") // shared by all of this process that open the name
//
// # Memory
//
// A record weighs its key, what was allocated for its bytes, and 200 bytes of bookkeeping: about what it takes of the heap.
// The weight of what is stored never exceeds [Options.MaxBytes]. When there is no room, values and leases that were not
// read or written lately go: each shard is a
// clock, whose hand spares a record that was used since it last came by (second chance, an approximation of least
// recently used).
//
// Fences and counters are never evicted, since an old value could come in where a fence was. They go when they expire.
// If there is no room without them, a write is Unsent with ErrUnavailable.
//
// Expired records count as nothing at once. Their memory is given back when somebody asks for them, when the hand comes
// by, and a few at a time by each write. There is no goroutine.
//
// # Capabilities
//
// Counter, Scanner, Statser, Identifier, and Limiter: the longest record is an eighth of MaxBytes. As knows *[Memory], with
// which tests do to the memory what happens to servers: it loses its data, or comes back with an old [Snapshot] of it.
package memory
