package hazelcast_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/strata-cache/strata/internal/fault/wire"
	"github.com/strata-cache/strata/internal/servertest"
)

// names answers all questions of this process for addresses that the hosts file does not know.
var names *wire.DNS

func TestMain(m *testing.M) {
	var err error
	if names, err = wire.NewDNS(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	net.DefaultResolver = names.Resolver()
	// names lives as long as the process: servertest.Main does not return.
	servertest.Main(m, servertest.Ignore(append(servertest.HazelcastLeaks, "github.com/strata-cache/strata/internal/fault/wire.(*DNS).serve")...)...)
}
