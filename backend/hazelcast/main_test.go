package hazelcast_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/internal/servertest"
)

// The library never ends this goroutine of a client whose start failed, as happens when a member dies while it is being
// connected to: see package hazelcastconn.
func TestMain(m *testing.M) {
	servertest.Main(m, goleak.IgnoreAnyFunction("github.com/hazelcast/hazelcast-go-client.(*Client).schemaInvoker"))
}
