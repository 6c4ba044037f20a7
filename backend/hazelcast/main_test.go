package hazelcast_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/servertest"
)

// names answers all questions of this process for addresses that the hosts file does not know.
var names *wire.DNS

// immortal is what the library leaves behind for ever, as package hazelcastconn tells: a goroutine of each client whose start
// failed, as when a member dies while it is being connected to, and those that wait for a mutex which a client that was shut
// down just as it lost its connection never unlocks.
var immortal = []string{
	"github.com/hazelcast/hazelcast-go-client.(*Client).schemaInvoker",
	"github.com/hazelcast/hazelcast-go-client/internal/invocation.(*Service).handleGroupLost",
	"github.com/hazelcast/hazelcast-go-client/internal/invocation.(*Service).Pause",
}

func TestMain(m *testing.M) {
	var err error
	if names, err = wire.NewDNS(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	net.DefaultResolver = names.Resolver()
	// names lives as long as the process: servertest.Main does not return.
	ignored := []goleak.Option{goleak.IgnoreAnyFunction("github.com/strata-cache/strata/internal/fault/wire.(*DNS).serve")}
	for _, f := range immortal {
		ignored = append(ignored, goleak.IgnoreAnyFunction(f))
	}
	servertest.Main(m, ignored...)
}
