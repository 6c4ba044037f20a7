// Package redisconn opens the one go-redis client that the store, the bus and the journal of a process share, with the
// settings without which that library breaks what strata promises.
//
//	conn, err := redisconn.Open("redis://localhost:6379/0?timeout=250ms", nil)
//	value, err := redisconn.Do(ctx, conn, func(ctx context.Context) (string, error) {
//		return conn.Client().Get(ctx, "key").Result()
//	})
//	err = conn.Close()
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
//   - RESP2, no client tracking, no maintenance notifications, no CLIENT SETINFO: nothing arrives or is sent that nobody
//     asked for.
//
// # Errors
//
// [Classify] sorts what the library returns: a context's error passes untouched, everything that says "no answer from a
// working server" wraps sentinel.ErrUnavailable, a closed client is sentinel.ErrClosed, and an answer (redis.Nil, a script's
// error, a refused password) passes untouched. [NotSent] tells whether a failed command certainly never left this process.
//
// No error and no String of this package contains a password.
package redisconn
