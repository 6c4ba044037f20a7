// Package redisconn opens the one connection to Redis that the store, the bus and the journal of a process share: to a server,
// to the primary that sentinels watch, or to a cluster. It uses go-redis for each server, with the settings without which that
// library breaks what strata promises, and finds and changes servers itself.
//
//	conn, err := redisconn.Open("redis-cluster://n1,n2?timeout=250ms", nil)
//	node, err := conn.Primary(ctx, "key")
//	cmd := redis.NewStringCmd(ctx, "get", "key")
//	_, err = redisconn.DoAt(ctx, conn, node, func(ctx context.Context) (struct{}, error) {
//		conn.Exec(ctx, node, []redis.Cmder{cmd})
//		return struct{}{}, cmd.Err()
//	})
//	err = conn.Close()
//
// # Servers
//
// A [Node] is one server, with a client of its own. [Conn.Primary], [Conn.Groups] and the like tell which are asked for which
// keys; of one server that is always the same. [Conn.Exec] follows a cluster's redirections. The library's own clients for
// Sentinel and Cluster are not used: they repeat commands after errors of the network, with however many attempts they are
// configured, and log to the standard error.
//
// A goroutine of the Conn asks sentinels every second and a cluster every 15 s, and soon after a failure of any kind. A node that
// is not one of them any more is closed when its calls have ended.
//
// # What is different from the library's defaults
//
//   - Nothing is ever sent twice. The library repeats a command that timed out, and a script that places or swaps a record
//     must not run again with the same token. Dialling is tried once as well, so that a dead server is an error within
//     Timeout and not after seconds.
//   - Timeouts are half a second and count for the whole call: waiting for a connection, dialling, handshake, command.
//   - Cancellation ends a call at once. The library looks at a context's deadline only (and that must be switched on), so
//     [Conn.Call] leaves a cancelled command behind. It ends by its own timeout, and Close waits for it.
//   - Linux gives up on a connection whose packets nobody acknowledges after seconds (TCP_USER_TIMEOUT), not minutes.
//   - RESP2 unless RESP3 is asked for, no client tracking, no maintenance notifications, no CLIENT SETINFO: nothing arrives or is sent that nobody
//     asked for.
//
// # Errors
//
// [Classify] sorts what the library returns: a context's error passes untouched, everything that says "no answer from a
// working server" wraps sentinel.ErrUnavailable, a closed client is sentinel.ErrClosed, and an answer (redis.Nil, a script's
// error, a refused password) passes untouched; [Conn.Explain] makes sentinel.ErrDenied of refusals. [NotSent] tells whether a failed command certainly never left this process.
//
// No error and no String of this package contains a password.
package redisconn
