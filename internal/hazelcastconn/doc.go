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
//   - Open does not wait for the cluster. A goroutine, which Close joins, dials the addresses and starts a client once one
//     of them answers. A call waits for it at most Timeout.
//   - The library never repeats a request. By default it sends a write again after an input/output error, whether or not
//     the first one was applied, and sleeps between attempts whatever the context says. Its invocation timeout is what
//     decides whether it may try again, so it is set to the smallest there is (the timeouts of calls are ours). [Do]
//     repeats what can be repeated: reads, and what certainly was not applied.
//   - The library's own reconnection is off: a client that lost its last connection is shut down and another one started.
//     One that reconnects can outlive its own Shutdown.
//   - Each call has a deadline. Without one the library blocks through an outage.
//   - A connection that is silent for 10 s is replaced, not after a minute.
//   - The library's log goes to Options.Logger, by default nowhere.
//
// # Errors
//
// A context's error passes untouched; everything that says "no answer from a working cluster" wraps
// sentinel.ErrUnavailable; after Close it is sentinel.ErrClosed; the rest is an answer. [NotSent] tells whether a failed
// call certainly had no effect. No error and no String of this package contains a password.
//
// # Flaws of the library that remain
//
// A client whose start fails leaves a goroutine and some hundred kilobytes behind for ever. That is why Open dials before
// it starts one. Where an address accepts connections and a start fails nevertheless (the cluster name or the credentials
// are wrong, which members answer alike) the pause between attempts grows to a minute; a start that hangs is given up
// after one minute, then two, four and so on.
//
// A client that loses a connection in the very moment when it is shut down may lock a mutex that it never unlocks (its
// invocation service's Pause returns early with it). Then a goroutine or two of that client remain. Calls end by their own
// timeout; the shutdown is waited for at most two seconds.
package hazelcastconn
