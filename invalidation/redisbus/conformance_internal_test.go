package redisbus

import (
	"context"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/invalidation/invalidationtest"
)

// Internal, as a transport alone is nothing that users get.
func TestConformance(t *testing.T) {
	t.Parallel()
	invalidationtest.Run(t, func(t *testing.T) invalidationtest.Harness {
		s := servertest.Redis(t)
		dial := func(t testing.TB) *redisconn.Conn {
			conn, err := redisconn.Open(s.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		return invalidationtest.Harness{
			Transport: func(t testing.TB) invalidation.Transport {
				conn := dial(t)
				opts, err := (*Options)(nil).resolve()
				if err != nil {
					t.Fatal(err)
				}
				return newTransport(conn, true, opts.names(conn))
			},
			Cut: func(t testing.TB) {
				conn := dial(t)
				defer conn.Close()
				if err := conn.Client().Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
