package backend_test

import (
	"flag"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // the suites wait for TTLs far more than they compute
	servertest.Main(m)
}
