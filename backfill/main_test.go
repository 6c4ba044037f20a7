package backfill_test

import (
	"os"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("BACKFILL_TEST_DIR"); dir != "" {
		fillUntilKilled(dir)
		return
	}
	servertest.Main(m)
}
