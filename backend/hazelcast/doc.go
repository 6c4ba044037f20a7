// Package hazelcast stores records in a map of a Hazelcast cluster, 5.x, of the open-source edition or another.
//
//	store, err := hazelcast.Open(ctx, "hazelcast://10.0.0.1:5701,10.0.0.2:5701?cluster=dev&map=products", nil)
//
// Importing it also lets backend.Open open hazelcast:// URLs. Open succeeds while the cluster is down and connects in the
// background; a round trip that is not answered within Options.Timeout, by default 500 ms and the wait for a connection
// included, is backend.ErrUnavailable and never a miss. There is nothing to do when the cluster comes back. The addresses are
// those to begin with: the client learns of other members, and remembers them.
//
// # Reads
//
// A read is one request. Several keys are as many requests, Options.Concurrency at once, on one connection to each member:
// that was faster than the client's own bulk read, and keys fail by themselves. When one of them is unavailable and the
// timeout is over, the keys not yet asked for are unavailable too. The client's near cache is never used: it serves old
// values for seconds, and the whole time while no member is there.
//
// # Writes
//
// A write is a read, record.Apply, and one of PutIfAbsent, ReplaceIfSame and RemoveIfSame with the bytes that were read:
// two round trips when nobody interferes. Each state of a key has a token of its own, so that equal bytes mean that
// nothing happened in between. The caller's clock decides what has expired. The map's locks are never used: one whose
// context ends while it waits is granted later and stays locked.
//
// Nothing is sent twice, save what a member or the client itself turned away before it ran. The outcome of a write is Unsent
// if its read failed, if there was no connection, or if it was turned away so. In all other cases it is Unknown: a write
// that was given up may still happen, even seconds later when a paused member goes on.
//
// # Time to live, and how to configure the map
//
// What counts is the expiry in the record, to the millisecond. The server's own only frees memory. An added record gets its
// TTL, in whole seconds and up to two of them longer. A swapped one (each Set, since it swaps a fence for a value) gets that
// of the map's configuration, because ReplaceIfSame forgets what there was, and by default it is never collected. Setting it
// afterwards would be a second step that could hit a fence. So configure the map on the members: docs/hazelcast.md has the
// configuration, with which this package is tested, what backups promise, and TLS.
//
// # Other capabilities
//
// Counters are records, counted by compare-and-swap. Scan is one query by prefix whose answer, all keys, comes as a whole
// and is then yielded in batches; it may take up to a minute while the cluster answers other reads. Ping and Stats ask for
// the size of the map, which all members have to answer; an error names the cluster, not the member. The hook of OnServer
// is told the addresses, cluster and map of the URL, and the id of the cluster, which is another one after all members were
// restarted; records that are lost with more members than there are backups change no id. Riders are unsupported.
//
// # As
//
// Store.As takes this target:
//
//   - **hazelcast.Client of github.com/hazelcast/hazelcast-go-client. It waits for the connection as a call does, and is
//     false without one. The client belongs to the Store: do not shut it down. When its last connection is lost it is shut
//     down and another one made: ask again instead of keeping it. It retries nothing by itself.
//
// # Limits
//
// A record is at most 4 MiB: the client library reads a message in time and memory that grow with the square of its
// length, and a large one holds up all others of that member. Members of the open-source edition speak no TLS, so that it
// needs a terminator before each, and refuse a client that gives a user name. A wrong name of the cluster is ErrUnavailable
// at once, and names it. The map must hold nothing but records: another value is an error. Hazelcast replicates
// asynchronously in a split: a side that was cut off goes on with what it has.
//
// The process listens on one loopback port for each member: there stands a relay between the client library and the member,
// which checks what the member sends. Who connects to it without the process's secret is cut off.
package hazelcast
