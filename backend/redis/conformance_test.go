package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

func harness(srv *server.Server, o *redis.Options) backendtest.Harness {
	return backendtest.Harness{
		Open: func(t *testing.T) *backend.Store {
			s, err := redis.Open(t.Context(), srv.URL(), o)
			if err != nil {
				t.Fatal(err)
			}
			return s // the suite closes it
		},
		Timeout: o.Timeout,
		Native:  func() any { return new(*goredis.Client) },
		Features: backendtest.Features{
			Counter:     true,
			Scanner:     true,
			Statser:     true,
			Identifier:  true,
			RiderWriter: true,
			MaxRecord:   64<<20 + 64<<10,
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *redis.Options){
		"batching":    func(*redis.Options) {},
		"no batching": func(o *redis.Options) { o.NoBatching = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := patient()
			change(o)
			backendtest.Run(t, func(t *testing.T) backendtest.Harness { return harness(servertest.SharedRedis(t), o) })
		})
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	backendtest.RunOutage(t, func(t *testing.T) backendtest.Harness {
		srv := servertest.Redis(t)
		h := harness(srv, &redis.Options{Timeout: 500 * time.Millisecond})
		must := func(f func() error) func(t *testing.T) {
			return func(t *testing.T) {
				t.Helper()
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.Stop, h.Pause, h.Resume = must(srv.Kill), must(srv.Pause), must(srv.Resume)
		h.Restart = must(func() error { return srv.Restart(context.Background()) })
		return h
	})
}
