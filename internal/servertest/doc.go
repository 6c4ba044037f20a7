// Package servertest gives tests real servers.
//
// A test that changes a server takes its own, which is closed when the test ends; one that only talks to it shares the
// server of the test process, under keys of its own:
//
//	func TestSomething(t *testing.T) {
//		s := servertest.SharedRedis(t)
//		key := servertest.Key(t) + "a"
//		…
//	}
//
//	func TestMain(m *testing.M) { servertest.Main(m) }
//
// Main stops the shared servers and then checks that no goroutine was left behind. A Hazelcast member is a JVM, which is
// too much for each package's test process, so scripts/test starts one for the whole run and names it in
// STRATA_HAZELCAST_URL.
//
// Where a server is not installed, the test is skipped with the command that installs it; with STRATA_REQUIRE_SERVERS=1,
// as in scripts/test, it fails instead.
package servertest
