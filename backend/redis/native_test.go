package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestAClusterGivesTheLibrarysClient(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedisCluster(t).URL(), patient())
	var client *goredis.ClusterClient
	var universal goredis.UniversalClient
	var conn *redisconn.Conn
	var other *goredis.Client
	if !s.As(&client) || !s.As(&universal) || !s.As(&conn) || s.As(&other) {
		t.Fatal("what is documented was refused, or something else taken")
	}
	if err := client.Set(t.Context(), servertest.Key(t), "x", time.Minute).Err(); err != nil {
		t.Error(err)
	}
}

func TestStatsAreOfTheServer(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedRedis(t)
	s := openStore(t, srv.URL(), patient())
	stats, err := s.Stats(t.Context())
	if err != nil || stats[srv.Addr()+"/0"]["redis_version"] == "" {
		t.Errorf("%v, %v", stats, err)
	}
}
