// Package memcached stores records on a pool of memcached servers.
//
//	store, err := memcached.Open(ctx, "memcached://10.0.0.1:11211,10.0.0.2:11211?timeout=250ms", nil)
//
// Importing it makes backend.Open know memcached:// and memcacheds:// URLs, the latter for TLS; user:password@ is for servers
// with authentication of the text protocol (-Y). Open succeeds while servers are down. The parameters of a URL are timeout,
// connections, item_size, pool, tls_ca, tls_cert, tls_key and tls_server_name: see [Options].
//
// # Pool
//
// Rendezvous hashing of what is between a key's braces, of the whole key if it has none, decides which server owns it.
// The order of the servers in the URL does not matter; their names do: every process has to write them alike. A server
// that is down is backend.ErrUnavailable for its keys, and nobody takes them over: nodes that disagree on who is down
// would otherwise use two servers for one key.
//
// Without more the pool is fixed. To add or remove a server, give the pool a new name: it is part of every stored key, so
// what a server kept from its time in an earlier pool is never read.
//
// With Options.Membership the list of servers is in a register that all processes share, such as invalidation.Register on
// their bus, and [SetServers] changes it while they work. Keys that stay on their server keep their records; nothing stale
// is served at any time, whatever fails. docs/memcached.md has the protocol, and what it costs.
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
//   - Over TLS and with users, few connections are made at a time: a burst waits for those that are there.
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
// # Errors
//
// An error of a server names it and the cause, is backend.ErrUnavailable, and holds no password. A server that does not take
// the user is [ErrCredentials] too; what is wrong with a certificate errors.As finds, as of crypto/x509. While it is not known
// who is in the pool, errors name the pool instead of a server.
//
// # As
//
// Store.As fills a **memcache.Client: a plain client of github.com/bradfitz/gomemcache on the same servers with the same
// placement of keys. It has connections of its own, and none of the care described here; keys stored by this package
// begin with the incarnation. It belongs to the Store.
package memcached
