// Package redis stores records on a Redis server, 6.0 or later, or what speaks its protocol and runs its scripts.
//
//	store, err := redis.Open(ctx, "redis://localhost:6379", nil)
//
// Importing it also lets backend.Open open redis:// and rediss:// URLs. Open succeeds while the server is down; a call
// that is not answered within Options.Timeout, by default 500 ms, is backend.ErrUnavailable and never a miss. There is
// nothing to do when the server comes back.
//
// # Reads
//
// A read is one command on the wire: GET for one key, MGET for several. Single reads that come while two others are
// under way wait until one of those returns, and then travel together as one MGET. There is no timer, and a read that
// meets no others does not wait. Each caller's context ends its own wait alone. Options.NoBatching sends each by itself.
//
// # Writes
//
// A write is a script which does exactly what record.Apply does, by the server's clock, so that clients whose clocks
// differ agree on what has expired. It is sent by its digest, and once more in full where the server says that it does not
// have it. Nothing else is ever sent twice. Several ops of one Write travel as a pipeline; more than 512, or ops of more
// than 4 MiB, or a second op at a key, begin another, which is not sent if the server did not answer the one before.
//
// The outcome of a write is Unsent if no connection was made, or if the server answered with an error of which is known
// that it did nothing: it is out of memory (OOM), a replica (READONLY), loading, refuses the password, and the like. In all
// these cases but a key of a foreign type the error is backend.ErrUnavailable and says the cause. Where the connection broke
// or the answer did not come, the outcome is Unknown; so it is when the time ran out before a connection was there.
//
// # Server
//
// Each record has a TTL. Where maxmemory is set, choose a policy that evicts: with noeviction writes fail once the memory is
// full. A server that persists nothing is fine.
//
// A key of another type (a list, a hash) is an error when it is read alone or written, and nothing when it is read among
// others, where Redis does not tell. Scan lists strings only.
//
// # As
//
// Store.As takes these targets:
//
//   - **redis.Client of github.com/redis/go-redis/v9, and *redis.UniversalClient. The client belongs to the Store: do not
//     close it. It obeys a context's deadline, not its cancellation, and never repeats a command.
//
// # Limits
//
// A record is at most 512 MiB, which is Redis's own limit. One server; Sentinel and Cluster are not known yet, and a
// server that became a replica shows as ErrUnavailable for writes. Riders are unsupported. OnServer's hook reports the
// connections made after it was registered, and costs each a round trip; a user who may not call INFO gets a new identity
// with each. Scan walks the whole database, whatever the prefix. Batched reads share one reply, so that small records wait
// for large ones that were asked for with them.
package redis
