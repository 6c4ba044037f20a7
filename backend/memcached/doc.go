// Package memcached stores records on a pool of memcached servers.
//
//	store, err := memcached.Open(ctx, "memcached://10.0.0.1:11211,10.0.0.2:11211?timeout=250ms", nil)
//
// Importing it makes backend.Open know memcached:// URLs. Open succeeds while servers are down. The parameters of a URL
// are timeout, connections, item_size and pool: see [Options].
//
// # Pool
//
// Rendezvous hashing of what is between a key's braces, of the whole key if it has none, decides which server owns it.
// The order of the servers in the URL does not matter; their names do: every process has to write them alike. A server
// that is down is backend.ErrUnavailable for its keys, and nobody takes them over: nodes that disagree on who is down
// would otherwise use two servers for one key. The pool is fixed. To add or remove a server, give the pool a new name:
// it is part of every stored key, so what a server kept from its time in an earlier pool is never read.
//
// # Consistency
//
// Every write is a compare-and-swap by the CAS id of the read directly before it, which costs two round trips. A record
// is removed by a compare-and-swap to an empty item that has already expired: memcached has no conditional delete.
//
// A server that restarts loses all records, and its CAS ids begin again. So stored keys begin with the server's
// incarnation, a hash of a nonce that it holds at the key "strata:incarnation", its process id and the pool's name.
// Nothing begun before a restart, flush_all or a warm restart (-e) reaches a record written after it, and no record from
// before is read. One thing remains: a compare-and-swap that a proxy, not the server, holds back across a restart.
//
// memcached evicts records when its memory is full, fences too: give it memory, and watch "evictions" in Stats.
//
// # Limits
//
//   - A record has at most [Options].ItemSize − 512 bytes, where ItemSize is 1 MiB by default. Longer ones are
//     backend.ErrTooLarge before anything is sent, and leave what is there.
//   - memcached counts TTLs in whole seconds and may end up to one early, so records are kept up to two seconds longer
//     than asked for; the expiry in the record's header is what counts. TTLs above 30 days are sent as absolute time.
//   - Timeout counts for a whole call, large batches included.
//   - Servers with authentication (-Y) or TLS (-Z) are not supported yet.
//
// # Counters
//
// Counters are memcached's own (incr and decr) with 2^62 for zero; a sum beyond ±2^62 is an error, and the counter of no
// more use. They begin at 0 again when their server restarts or evicts them.
//
// # Capabilities
//
// Counter, Limiter, Statser, Identifier (the identity is the incarnation) and Native. memcached cannot list its keys, so
// Scan and DeletePrefix answer backend.ErrUnsupported.
//
// # As
//
// Store.As fills a **memcache.Client: a plain client of github.com/bradfitz/gomemcache on the same servers with the same
// placement of keys. It has connections of its own, and none of the care described here; keys stored by this package
// begin with the incarnation. It belongs to the Store.
package memcached
