package redisconn_test

import (
	"context"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestSlotsAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	c := open(t, servertest.SharedRedisCluster(t).URL(), &redisconn.Options{Timeout: redisconn.DefaultTimeout * 20})
	for _, key := range []string{"", "a", "foo", "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "{", "a{b", "}{", "é\x00{x}"} {
		want, err := redisconn.Do(t.Context(), c, func(ctx context.Context) (int64, error) {
			return c.Client().ClusterKeySlot(ctx, key).Result()
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := redisconn.Slot(key); int64(got) != want {
			t.Errorf("slot of %q is %d, want %d", key, got, want)
		}
	}
}
