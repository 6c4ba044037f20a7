package redisjournal_test

import (
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/journaltest"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

func openShared(t *testing.T, url string, o *redisjournal.Options) *redisjournal.Journal {
	t.Helper()
	j, err := redisjournal.Open(t.Context(), url, o)
	servertest.Require(t, err)
	return j
}

// harness is that of a rule on a server that all rules share.
func harness(t *testing.T, url string) journaltest.Harness {
	prefix := servertest.Key(t)
	return journaltest.Harness{
		Shared: true,
		Open: func(t *testing.T) journal.Journal {
			return openShared(t, url+"?timeout=10s", &redisjournal.Options{Prefix: prefix, AllowVolatile: true})
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Harness { return harness(t, servertest.SharedRedis(t).URL()) })
}

func TestConformanceOnACluster(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Harness { return harness(t, servertest.SharedRedisCluster(t).URL()) })
}
