package hazelcastbus_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/internal/servertest"
)

// immortal is what the library leaves behind for ever, as package hazelcastconn tells.
var immortal = []string{
	"github.com/hazelcast/hazelcast-go-client.(*Client).schemaInvoker",
	"github.com/hazelcast/hazelcast-go-client/internal/invocation.(*Service).handleGroupLost",
	"github.com/hazelcast/hazelcast-go-client/internal/invocation.(*Service).Pause",
}

func TestMain(m *testing.M) {
	var ignored []goleak.Option
	for _, f := range immortal {
		ignored = append(ignored, goleak.IgnoreAnyFunction(f))
	}
	servertest.Main(m, ignored...)
}
