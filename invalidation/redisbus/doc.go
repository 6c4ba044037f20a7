// Package redisbus is an invalidation log on Redis, be it one server, Sentinel or Cluster: a counter, and a channel on which everything is published.
//
//	bus, err := redisbus.New(store, nil)                               // on the client of a Redis store
//	bus, err := redisbus.Open(ctx, "redis://localhost:6379", nil)      // any URL of Redis, with a client of its own, beside any other backend
//	defer bus.Close()
//
// # On the server
//
// One hash, {strata:NAME}:log, holds the counter n and a random nonce; one channel, {strata:NAME}:frames, carries frames, and
// one, {strata:NAME}:hints, hints. NAME is Options.Name; the braces keep all in one slot. Databases of one server share
// channels, so buses of different databases need different names: New and Open put a database other than 0 into it.
//
// One script adds to the counter and publishes, so the order of positions is the order of delivery. Every frame travels with
// its position: 32 hexadecimal digits of the incarnation and 16 of n before it, and those of n once more behind it, so that a
// changed one is noticed.
//
// The same script keeps what it publishes in a list, {strata:NAME}:recent: the newest Options.LogFrames frames, at most
// Options.LogBytes of them. A node that missed some reads just those, which takes one command and costs no flush; where one is
// not there, it flushes. Each tells its own position, so that neither holes, which nodes leave that keep no frames (as versions
// before this one did), nor what was kept in another incarnation can be taken for what is asked for. The list stays on the
// server for three days after the last frame; the counter stays.
//
// # The incarnation
//
// It is a hash of the nonce, the server's run id and its replication id, which the script itself reads, so that what stands
// on a frame is true of the server that published it, on whichever connection. Each part sees what the others do not:
//
//   - the run id changes at a restart, which may have brought an older log back;
//   - the replication id changes at a failover, also from a server to its replica and back, where the run id returns;
//   - the nonce is created with the counter, in the same hash and step, so that a FLUSHALL, an eviction or a deletion, which
//     takes the counter along, is seen without a restart. It comes from the publisher: scripts have no randomness to trust.
//
// docs/redis.md has the permissions that the user needs. One that is missing makes announcements fail with its name; but for
// those that only the list needs: without one of them nodes flush where they would not have to, and EventFlush names it.
//
// # Sentinel and Cluster
//
// Scripts, head and subscription are at one server: the primary, in a cluster the owner of {strata:NAME}. Whenever something is
// published, the heartbeats at least, a subscription that is elsewhere is replaced. Another primary is another incarnation. An
// old primary that is cut off from its replicas must refuse writes (min-replicas-to-write 1), or it goes on echoing the
// heartbeats of nodes that are cut off with it.
//
// # Registers
//
// What invalidation.Register keeps are four more fields of the log's hash for each name: the value, its epoch, since when it
// stands, and the incarnation in which it was written. One script compares the epoch, stores the value and publishes the change.
// The new epoch is the server's clock, or above what stood there and what the writing node has seen: so none comes again after
// a FLUSHALL, a failover or an old snapshot, and a value that such an event brings back is known by its incarnation.
//
// # Failures
//
// The bus reads its connection itself: the library's channels drop messages of slow readers without telling. A frame is
// published once; after an error the outcome is unknown. A server that closes the connection, for whatever reason, is
// subscribed to anew, with a pause that grows to a second, and what was missed is read from the list. A connection that is merely silent is replaced when no heartbeat
// comes back for the smallest bound attached. One that has reached the connection's MaxAge has a successor, which hears before it
// ends: no node flushes.
package redisbus
