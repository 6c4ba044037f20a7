package servertest_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestSharedServersAreOnePerProcess(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(testing.TB) *server.Server{
		"redis":     servertest.SharedRedis,
		"memcached": servertest.SharedMemcached,
		"hazelcast": servertest.SharedHazelcast,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := get(t), get(t)
			if a != b {
				t.Error("the second call gave another server")
			}
			if !strings.HasPrefix(a.URL(), name+"://127.0.0.1:") {
				t.Errorf("URL is %q", a.URL())
			}
		})
	}
}

func TestSharedTopologiesAreOnePerProcess(t *testing.T) {
	t.Parallel()
	if a, b := servertest.SharedSentinel(t), servertest.SharedSentinel(t); a != b {
		t.Error("the second call gave other Sentinels")
	}
	if a, b := servertest.SharedRedisCluster(t), servertest.SharedRedisCluster(t); a != b {
		t.Error("the second call gave another cluster")
	}
}

func TestKeysAreUniqueAndPlain(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`^[-_A-Za-z0-9]{18,64}$`)
	seen := map[string]bool{}
	t.Run("a name with spaces, ünïcode and "+strings.Repeat("length ", 20), func(t *testing.T) {
		for range 100 {
			key := servertest.Key(t)
			if !plain.MatchString(key) {
				t.Fatalf("key %q (%d bytes)", key, len(key))
			}
			if seen[key] {
				t.Fatalf("key %q came twice", key)
			}
			seen[key] = true
		}
	})
}
