// Package hazelcastconn keeps the one Hazelcast client that the store and the bus of a process share, with the settings
// without which that library breaks what strata promises.
//
//	conn, err := hazelcastconn.Open("hazelcast://localhost:5701?cluster=dev", nil)
//	old, err := hazelcastconn.Do(ctx, conn, hazelcastconn.Repeatable, func(ctx context.Context, m *hazelcast.Map) (any, error) {
//		return m.Get(ctx, "key")
//	})
//	err = conn.Close()
//
// # What is different from the library's defaults
//
//   - Open does not wait for the cluster. A goroutine, which Close joins, introduces itself at the addresses as a client does,
//     and starts the library's client once one of them lets it in. A call waits for that at most Timeout; not at all where
//     every address that answers refuses.
//   - The client speaks to the members through package relay, on loopback: it makes the connections, with TLS if that is
//     asked for, resolves names anew for each, and checks what members send before the library, which it could end, sees it.
//   - The library never repeats a request. By default it sends a write again after some errors of a member, whether or not
//     the first one was applied, and sleeps between attempts whatever the context says. Its invocation timeout is what
//     decides whether it may try again, so it is set to the smallest there is (the timeouts of calls are ours). [Do]
//     repeats what can be repeated: reads, and what certainly was not applied.
//   - The library's own reconnection is off: a client that lost its last connection is shut down and another one started.
//     One that reconnects can outlive its own Shutdown.
//   - Each call has a deadline, and a panic of the library in it, at an answer that it cannot read, is an error. Without a
//     deadline the library blocks through an outage. A test reads the source for calls that are not safe.
//   - A connection that answers nothing for 3 s, or for Timeout if that is longer, is replaced, not after a minute.
//   - The library's log goes to Options.Logger, by default nowhere.
//
// # Errors
//
// A context's error passes untouched; everything that says "no answer from a working cluster" wraps
// sentinel.ErrUnavailable, and shows why, as a *relay.RefusedError or a *tls.CertificateVerificationError, where a member
// refuses or is not trusted; after Close it is sentinel.ErrClosed; the rest is an answer. [NotSent] tells whether a failed
// call certainly had no effect. No error and no String of this package contains a password.
//
// # Flaws of the library that remain
//
// A client whose start fails leaves a goroutine and some hundred kilobytes behind for ever. That is why a member has to let
// this package in before a client is started. Where a start fails nevertheless, as when the member dies at that moment, the
// pause between attempts grows to a minute; a start that hangs is given up after 10 s, then 20, 40 and so on.
//
// A client that loses a connection in the very moment when it is shut down may lock a mutex that it never unlocks (its
// invocation service's Pause returns early with it). Then a goroutine or two of that client remain. Calls end by their own
// timeout; the shutdown is waited for at most two seconds.
package hazelcastconn
