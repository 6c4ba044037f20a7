package pgfeed_test

import (
	"os"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(envConsumer) != "" {
		consumerProcess()
		return
	}
	servertest.Main(m)
}
