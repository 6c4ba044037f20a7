// Package server starts real servers on free loopback ports: Redis, Memcached, Hazelcast members, PostgreSQL and MariaDB.
//
// Each constructor returns a running [Server] that has already answered a request, so its caller never sleeps:
//
//	s, err := server.Redis(ctx, nil)
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	store, err := backend.Open(ctx, s.URL())
//
// A server can be stopped, killed, paused and resumed, and started again on the same port, which is what outage tests
// and the demo need. A binary that is not installed is a [*MissingError] that names the command which installs it.
//
// # Topologies
//
// [Redis] takes users and certificates. [Sentinel] starts a primary with replicas and the Sentinels over them,
// [RedisCluster] a Redis Cluster; both know their nodes, wait for a failover to be through, and a cluster moves slots, in one
// go or step by step.
//
// # Nothing is left behind
//
// A server lives in its own process group under a small shell supervisor. The supervisor holds the reading end of a pipe
// whose only writing end is in the owner: however the owner ends, a SIGKILL included, the pipe closes, and the supervisor
// kills the group (a stopped process too) and removes the server's folder.
//
// The package does not import testing, because the command line starts servers as well; tests use internal/servertest.
// It works where there are process groups and a POSIX sh; elsewhere each constructor returns [errors.ErrUnsupported].
package server
