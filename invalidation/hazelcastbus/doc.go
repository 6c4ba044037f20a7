// Package hazelcastbus is an invalidation log on a Hazelcast cluster: a ring buffer, which every node appends to and reads.
//
//	bus, err := hazelcastbus.New(store, nil)                              // on the client of a Hazelcast store
//	bus, err := hazelcastbus.Open(ctx, "hazelcast://localhost:5701", nil) // with a client of its own, beside any other backend
//	defer bus.Close()
//
// # In the cluster
//
// The ring buffer {strata:NAME}:log is the log: the cluster gives each item that is added the next sequence, from 0, and the
// position of a frame is its sequence and 1. Another one, {strata:NAME}:hints, carries hints. The map {strata:NAME}:state holds the
// incarnation. NAME is Options.Name. docs/hazelcast.md has their configuration, of which the defaults will do.
//
// Nodes read by requests that wait for more. What was published while a node had no connection, or did not keep up, is still in
// the ring buffer afterwards, so that it costs no flush; if it was overwritten, the node subscribes anew. Reading behind the
// ring buffer's end, which the cluster answers with whatever is there, shows by the sequences that come with the items.
//
// # The incarnation
//
// A ring buffer that lost its entries, with the members that held them, counts from 0 again, or from where a copy stood. It must
// not be taken for the same log, and nothing in it says so by itself. So:
//
//   - The incarnation is 16 random bytes in the map, changed by compare-and-swap alone: whoever has to change it at the same time
//     as others gets what one of them chose. Where the map or the ring buffer is empty, there is a new one.
//   - Every item carries the incarnation that its publisher took the log for, which is part of its position, and 8 random bytes.
//   - A node reads from the item on that it read last. If that one is gone though it was not overwritten, or is another one, the
//     log has fallen back, and may have grown again: the incarnation is over. That one item speaks for all before it.
//   - A publisher that is given a sequence which it knew to be taken says so too, and its Publish is an error. The first who
//     adds to an emptied ring buffer is given 0, which everybody who knows an incarnation knows to be taken.
//   - An item of another incarnation than the reader's is of a node that knows more or less than the reader. The map tells which.
//     In either case the reader subscribes anew, which covers the item.
//
// An incarnation that is over never comes back. Positions that were given while nobody had noticed yet are of that one, and
// so compare with nothing.
//
// # When members go
//
// With a copy (backup-count 1, the default) the loss of one member loses nothing that was acknowledged, and costs no flush. The
// loss of all copies, and a restart of all members, is another incarnation: every node flushes.
//
// Not noticed is what needs three faults at once: entries that were read before their copy was made are lost with the owner, those
// who read them die before they read on, and records that they stored with positions of these entries are compared with positions
// that were given again. And as everywhere on Hazelcast, a network that splits makes two logs, each of which is right for its
// side: see docs/hazelcast.md.
//
// # Failures
//
// A frame is sent once; after an error the outcome is unknown, and members that repeat it among themselves, when an owner dies,
// may put it there twice or later. Every request has a deadline: Publish ends within twice the timeout of the connection, and a
// wait for entries after five seconds, to look whether the log is still there. Lost connections are replaced by the client.
//
// The ring buffer is its own replay log: what a new subscription would have missed is read from it, if it is still there.
//
// Hints are dropped where a node does not keep up.
//
// There are no registers: a map and a ring buffer cannot be changed in one step, so invalidation.Register is ErrUnsupported.
package hazelcastbus
