package hazelcastbus

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/hazelcastconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/invalidationtest"
)

// Internal, as a transport alone is nothing that users get.
func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, servertest.SharedHazelcast(t).URL())
}

func TestOnTwoMembers(t *testing.T) {
	t.Parallel()
	members := servertest.HazelcastCluster(t, 2, &server.HazelcastOptions{Backups: 1})
	t.Run("conformance", func(t *testing.T) { conform(t, members[1].URL()) })
	t.Run("a member that dies takes nothing along", func(t *testing.T) { killed(t, members) })
}

// conform runs the suite, each case with a log of its own. A cut is nothing that a reader of this log would notice.
func conform(t *testing.T, url string) {
	invalidationtest.Run(t, func(t *testing.T) invalidationtest.Harness {
		name := servertest.Key(t)
		return invalidationtest.Harness{
			Transport: func(t testing.TB) invalidation.Transport { return dial(t, url, name) },
			Replays:   true,
			Lose: func(t testing.TB) {
				a := dial(t, url, name+"-hand")
				defer a.Close()
				onLog(t, &transport{conn: a.conn, names: (&Options{Name: name}).names()}, destroy)
			},
		}
	})
}

// dial opens a transport, which its caller closes. A machine that is busy with other tests is no failure: calls have more time than
// by default, if the URL does not say otherwise.
func dial(t testing.TB, url, name string) *transport {
	t.Helper()
	if !strings.Contains(url, "timeout=") {
		url += "&timeout=5s"
	}
	conn, err := hazelcastconn.Open(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newTransport(conn, true, (&Options{Name: name}).names())
}
