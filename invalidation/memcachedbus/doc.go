// Package memcachedbus is an invalidation log on one Memcached server, for fleets that have nothing else.
//
//	bus, err := memcachedbus.New(store, nil)                               // on the connections of a Memcached store
//	bus, err := memcachedbus.Open(ctx, "memcached://localhost:11211", nil) // with its own, beside any other backend
//	defer bus.Close()
//
// # On the server
//
// Memcached notifies nobody and keeps no lists; it compares and swaps one item. So the log is one item, {strata:NAME}:log, which
// holds the incarnation, the position of the last frame, the last frames themselves (at most 8 KiB), and the names of up
// to 64 pages. A page, {strata:NAME}:page:ID, is an item with the frames before those, which is written once and kept for five
// minutes. NAME is Options.Name; the server is the one that owns it among those of the URL, by rendezvous hashing.
//
//	publish   gets log ──▶ (add page) ──▶ cas log     two requests; three where the last frames become a page, or a frame is long
//	look      gets log                                one
//
// The swap publishes and gives the position, in one step. So there is one order for all publishers, and what a publisher that is
// slow, dies, or is killed between its requests leaves behind is a page that nobody names: never a hole that others would have to
// wait for, or to fill. A swap that comes late finds another item and does nothing. The obvious other way, incr of a counter
// and then add of the entry with that number, has such holes, cannot tell one from an entry that was evicted, and
// keeps the number in one item and the incarnation in another, of which either may be evicted alone.
//
// The price is that of several who publish at the same moment one wins, and the others try again: one publishes in the time of a
// request and the next in that of another one. Ten that did nothing else published 6,000 a second over loopback. A node publishes
// one thing at a time, and what queues meanwhile travels together.
//
// # Looking
//
// A node reads the log each Options.Poll (100 ms), and with every publish, heartbeats included, which are a fifth of the smallest
// MaxStaleness apart: what is there when its own frame enters the log it has in hand. So MaxStaleness holds whatever Poll
// is, and a poll only says how soon others are heard. What is not among the last frames any more is read from the pages; what
// is not there either begins a new subscription. The pages are also what Replay gives again: at least half a megabyte of frames, or
// what was published in five minutes, if that is less.
//
// Hints are an item of their own, {strata:NAME}:hints, that is read in the same request and expires when nobody hints: they arrive
// with the next look. They are lost where many hint at once.
//
// # The incarnation
//
// It is 16 random bytes in the log's own item, so that nobody can have one without the other. Whoever finds no item adds one, with
// another incarnation; all nodes flush. That is so after a restart, after flush_all, and after the item was evicted, which is
// unlikely, as everybody reads it. A warm restart (-e) keeps all items, but the keys begin with a hash that holds the process id
// ([github.com/strata-cache/strata/backend/memcached]), and nobody reads the old ones. CAS ids repeat after a restart; an id is
// used on the connection alone on which it was read, which does not outlive the process.
//
// All items end with a checksum. A log that cannot be read is replaced, as if it were lost; one that another version of
// strata wrote is left alone, and this node is then not trusted.
//
// # Failures
//
// While the server is down nothing can be published, nothing is trusted, and the caches read the remote tier, once MaxStaleness has
// passed. The other servers of a pool do not take the log over: nobody could tell whether everybody did. A server that comes back
// with its data, after SIGSTOP or a cut, costs no flush.
//
// Every request ends within the timeout of the pool, Publish within twice that once it is its turn among those of its node. A swap is sent
// once; after an error its outcome is unknown.
//
// All nodes must name the same servers and the same Name, or some of them will talk past each other. An address must
// not move to another server while the one before still answers there. A store whose servers can change (Membership) cannot carry
// the bus, and there are no registers: invalidation.Register is ErrUnsupported, as a pool that asked its own servers who is
// in it could not be asked when it matters.
package memcachedbus
