// Package memcachedconn is the pool of memcached servers that the store and the bus of a process share: gomemcache for
// the protocol, and around it what that library lacks.
//
//	pool, err := memcachedconn.Open("memcached://10.0.0.1:11211,10.0.0.2:11211?timeout=250ms", nil)
//	err = pool.Pick(key).Read(ctx, func(s *memcachedconn.Session) error {
//		items, err := s.Get(key)
//		…
//	})
//	err = pool.Close()
//
// # What is different from the library
//
//   - A call ends when its context ends, in the middle of a round trip too, and leaves nothing running behind: each
//     connection belongs to one call at a time, so that its deadline can be moved into the past. Timeout counts for the
//     whole call: waiting for a connection, dialling, handshake, command and reply.
//   - At most Options.Connections connections to a server are open, and all of them are kept; a few are made at a time.
//   - Keys are placed by rendezvous hashing of what is between their braces. The order of the servers does not matter,
//     and taking one away moves its keys only. A server that is down is unavailable: nobody takes over its keys.
//   - [Owner.Do] tells whether a command surely never left, and never repeats one. [Owner.Read] repeats once, on a new
//     connection, what failed because a pooled one had died.
//   - A reply is checked before the library allocates for it: no value longer than the server's item size, no more
//     values than were asked for, none of another key.
//   - TLS, and the authentication of the text protocol.
//
// # Incarnations
//
// A memcached server forgets everything when it restarts, its CAS ids included, which then repeat. So each server holds
// a random nonce at [NonceKey], which the first connection to an empty server adds. A connection's incarnation is a hash
// of the nonce, the server's process id (a warm restart keeps the nonce) and the pool's name; it begins every key
// ([Session.Key]), and a command must only use an id that was read under the same one. Whatever was begun before a
// restart then addresses keys that nobody reads. So would a connection that learned another process id than the server's, of a
// reply that was changed on its way: it is asked for twice.
//
// Every Session.Get reads the nonce along with the keys, in the same command, and gives up the connection if it is
// another. So flush_all, or the nonce's eviction, cannot leave nodes on different incarnations for longer than one
// command; and a key that is read so often is not evicted.
//
// # Membership
//
// With [Options].Membership, a register that all nodes share holds the list of servers, and [Pool.Change] replaces it while
// all nodes work. docs/memcached.md has the protocol with the argument why nothing stale is served; in short:
//
//   - The nonce of a server becomes a mark: the nonce, the process id, and the ID of the one list by which the server may be
//     used. Since every Get reads it, a node with another list is refused in the command in which it would do harm.
//   - A mark is opened to a list only by a swap of what was read before that very list was loaded as the registered one, with
//     no change under way.
//   - A change is registered, then the marks of the old list are shut, then the new list is registered.
//   - A server whose mark cannot be shut is cut, and every node stops using all servers that it has not heard about for a
//     lease: it waits for all leases to end.
//   - A key begins with the ID of the change since which its server owns it, hashed with the incarnation: what a server kept
//     from an earlier time is never read, and keys that stay where they are keep their records.
//
// A [Membership] that fails, or a change that nobody finishes, makes keys unavailable, never stale. What a [keeper] knows
// is a [standing]; the lists are [list] as they are registered and [roster] as calls use them.
package memcachedconn
