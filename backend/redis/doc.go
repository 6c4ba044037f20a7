// Package redis stores records on Redis, 6.0 or later: one server, a primary that sentinels watch, or a cluster.
//
//	store, err := redis.Open(ctx, "redis://localhost:6379", nil)
//	store, err := redis.Open(ctx, "redis-sentinel://s1,s2,s3/main", nil)
//	store, err := redis.Open(ctx, "rediss-cluster://n1:6379,n2:6379?tls_ca=/etc/ssl/cache.pem", nil)
//
// Importing it also lets backend.Open open these URLs. Open succeeds while the server is down; a call that is not answered
// within Options.Timeout, by default 500 ms, is backend.ErrUnavailable and never a miss. There is nothing to do when the
// server comes back, or another took its place. docs/redis.md tells of deployments, TLS, permissions and credentials.
//
// # Reads
//
// A read is one command on the wire: GET for one key, MGET for several. Single reads that come while two others are
// under way wait until one of those returns, and then travel together as one MGET. There is no timer, and a read that
// meets no others does not wait. Each caller's context ends its own wait alone. Options.NoBatching sends each by itself.
//
// In a cluster a read of several keys is one pipeline to each owner, all at the same time, with one command for the keys of a
// slot. Each key has its own failure: that of its server, or of the user who may not read it. Get asks primaries, GetStale
// replicas where Options.ReplicaReads is set.
//
// # Writes
//
// A write is a script which does exactly what record.Apply does, by the server's clock, so that clients whose clocks
// differ agree on what has expired. It is sent by its digest, and once more in full where the server says that it does not
// have it. Nothing else is ever sent twice. Several ops of one Write travel as a pipeline; more than 512, or ops of more
// than 4 MiB, or a second op at a key, begin another, which is not sent if the server did not answer the one before.
//
// The outcome of a write is Unsent if no connection was made or could be used, or if the server answered with an error of which
// is known that it did nothing: it is out of memory (OOM), a replica (READONLY), loading, refuses the password, and the like. In
// all these cases but a key of a foreign type the error is backend.ErrUnavailable and says the cause. Where the connection broke
// or the answer did not come, the outcome is Unknown; so it may be when the time ran out before a connection was there.
// A user who may not do what was asked gets backend.ErrDenied, and the outcome is Unsent.
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
//   - **redis.Client of github.com/redis/go-redis/v9, of one server or a primary that sentinels watch,
//   - **redis.ClusterClient, of a cluster,
//   - *redis.UniversalClient, of any.
//
// The client belongs to the Store: do not close it. It obeys a context's deadline, not its cancellation. A redis.Client never
// repeats a command; a redis.ClusterClient, through which nothing of the Store passes, does.
//
// # Limits
//
// A record is at most Options.MaxValue long. Riders are unsupported. OnServer's hook reports the connections made after it was
// registered, to replicas that are asked who owns what as well, and costs each a round trip; a user who may not call INFO gets
// a new identity with each. Scan walks the whole database, whatever the prefix, and while slots of a cluster move may miss
// keys. Batched reads share one reply, so that small records wait for large ones that were asked for with them. On Sentinel
// and Cluster a goroutine asks for changes: see docs/redis.md.
package redis
