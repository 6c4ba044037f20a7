package hazelcast_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/internal/servertest"
)

// What the library leaves behind for ever, as package hazelcastconn tells: a goroutine of each client whose start failed, as
// when a member dies while it is being connected to, and those that wait for a mutex which a client that was shut down
// just as it lost its connection never unlocks.
func TestMain(m *testing.M) {
	const library = "github.com/hazelcast/hazelcast-go-client"
	servertest.Main(m,
		goleak.IgnoreAnyFunction(library+".(*Client).schemaInvoker"),
		goleak.IgnoreAnyFunction(library+"/internal/invocation.(*Service).handleGroupLost"),
		goleak.IgnoreAnyFunction(library+"/internal/invocation.(*Service).Pause"))
}
