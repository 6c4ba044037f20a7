package server_test

import (
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

// What the others are tested for is the same code. Its own is that it starts at all, as root too, and that it comes back
// after a kill.
func TestMariaDBSurvivesAKillAndAStop(t *testing.T) {
	t.Parallel()
	srv := servertest.MariaDB(t)
	for range 3 {
		servertest.Require(t, srv.Kill())
		servertest.Require(t, srv.Restart(t.Context()))
	}
	servertest.Require(t, srv.Stop())
	servertest.Require(t, srv.Restart(t.Context()))
}
