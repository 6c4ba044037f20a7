// Package tier is the front door of strata: a typed [Cache] of up to two tiers before a source.
//
//	products, err := tier.New("products", &tier.Options[int64, Product]{
//		Remote: store, // redis.Open, memcached.Open, hazelcast.Open or memory.New
//		Bus:    bus,   // redisbus.New, hazelcastbus.New, memcachedbus.New, or membus
//		TTL:    10 * time.Minute,
//		Policy: policy.CacheAside[int64, Product](loader),
//	})
//	p, err := products.Get(ctx, 42)
//
// # Tiers
//
// The local tier holds decoded values in this process; a hit in it makes no round trip and allocates nothing. The remote
// tier is shared by all processes; a hit in it costs one round trip. What neither has is loaded from the source by the
// policy's loader. Reads of one key share a load, within this process and, by a lease at the remote tier, with all others:
// see Options.OnContention. Either tier may be left out.
//
// # Coherence
//
// With a Bus, Set, Delete, Invalidate, InvalidateTag, Expire and Clear are announced to all nodes, which drop what they hold. When such a
// call has returned without an error, no node serves an older value from its local tier for a read that starts more than
// MaxStaleness later; a node that has not heard its own heartbeat through the bus for that long asks the remote tier
// instead. Without a Bus a local value lives at most MaxStaleness. docs/guarantees.md says what holds under which faults.
//
// There is no unconditional write of a value. A Set puts a fence at the key and swaps it for the value; what a miss loads
// may only take the place of the lease that it put there before, or of the very record that was found unusable or stale.
// Whoever comes too late is refused, so what was loaded before a write is never stored after it; and what the remote tier
// refused is not kept locally either.
//
// [Cache.Watch] tells an application what is invalidated, as a sequence to range over, for what it derives from values.
//
// # Writing the source
//
// Under policy.WriteThrough Set, SetMany and Delete write the source, within a fence: nobody stores or keeps what was loaded before
// the write, also if this process dies in between. An application that writes the source itself does the same by
// [Cache.BeginWrite], or calls Invalidate afterwards, which is cheaper and leaves that window.
//
// # Errors
//
// A write that gets no clear answer is [ErrInvalidationPending]: the key is in doubt, which means that this node reads it from the
// source, and it is repaired behind until it is surely gone from the remote tier and announced.
//
// A key that the source does not have is [ErrNotFound]. Servers that fail are [ErrUnavailable], never a miss, and a read
// that has a loader goes on without them. Every failed step is an [*Error] that says which tier and key.
package tier
