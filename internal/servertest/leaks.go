package servertest

import "go.uber.org/goleak"

const hazelcastClient = "github.com/hazelcast/hazelcast-go-client"

// HazelcastLeaks are the functions of goroutines that the Hazelcast library leaves behind for ever, as package hazelcastconn tells:
// one of each client whose start failed, as when a member dies while it is being connected to, and those that wait for a mutex
// which a client that was shut down just as it lost its connection never unlocks.
var HazelcastLeaks = []string{
	hazelcastClient + ".(*Client).schemaInvoker",
	hazelcastClient + "/internal/invocation.(*Service).handleGroupLost",
	hazelcastClient + "/internal/invocation.(*Service).Pause",
}

// Ignore returns the options with which [Main] does not mind goroutines of these functions.
func Ignore(functions ...string) []goleak.Option {
	opts := make([]goleak.Option, len(functions))
	for i, f := range functions {
		opts[i] = goleak.IgnoreAnyFunction(f)
	}
	return opts
}
