package redisbus

import (
	"context"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/invalidationtest"
)

// Internal, as a transport alone is nothing that users get.
func TestConformance(t *testing.T) {
	t.Parallel()
	invalidationtest.Run(t, func(t *testing.T) invalidationtest.Harness {
		s := servertest.Redis(t, &server.RedisOptions{Persist: true})
		dial := func(t testing.TB) *redisconn.Conn {
			conn, err := redisconn.Open(s.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		do := func(t testing.TB, command ...any) {
			conn := dial(t)
			defer conn.Close()
			if err := conn.Client().Do(context.Background(), command...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		return invalidationtest.Harness{
			Transport: func(t testing.TB) invalidation.Transport {
				conn := dial(t)
				opts, err := (*Options)(nil).resolve()
				if err != nil {
					t.Fatal(err)
				}
				return newTransport(conn, true, opts)
			},
			Cut:       func(t testing.TB) { do(t, "CLIENT", "KILL", "TYPE", "pubsub") },
			Registers: true,
			Replays:   true,
			Forget:    func(t testing.TB) { do(t, "DEL", "{strata:bus}:recent") },
			Lose:      func(t testing.TB) { do(t, "FLUSHALL") },
			Restart: func(t testing.TB) {
				servertest.Require(t, s.Kill())
				servertest.Require(t, s.Restart(t.Context()))
			},
			Stop: func(t testing.TB) { servertest.Require(t, s.Kill()) },
		}
	})
}
