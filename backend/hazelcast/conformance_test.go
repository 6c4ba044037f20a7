package hazelcast_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	hz "github.com/hazelcast/hazelcast-go-client"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/hazelcast"
	"github.com/strata-cache/strata/internal/servertest"
)

const patience = 30 * time.Second

var features = backendtest.Features{
	Counter:      true,
	Scanner:      true,
	Statser:      true,
	Identifier:   true,
	TTLPrecision: time.Second,
	MaxRecord:    4 << 20,
}

func native() any { return new(*hz.Client) }

func openStore(t testing.TB, rawURL string, o *hazelcast.Options) *backend.Store {
	t.Helper()
	s, err := hazelcast.Open(t.Context(), rawURL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// onMap is the URL with a map of its own for the test: other packages share the member.
func onMap(t testing.TB, rawURL string) string {
	return rawURL + "&map=" + url.QueryEscape(servertest.Key(t))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		at := onMap(t, servertest.SharedHazelcast(t).URL())
		return backendtest.Harness{
			Open: func(t *testing.T) *backend.Store {
				s, err := hazelcast.Open(t.Context(), at, &hazelcast.Options{Timeout: patience})
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Timeout:  patience,
			Native:   native,
			Features: features,
		}
	})
}

// TestOutages begins with the suite and goes on with what only this backend has: a member takes seconds to start, so all
// of them share one.
func TestOutages(t *testing.T) {
	t.Parallel()
	srv := servertest.Hazelcast(t)
	harness := func(*testing.T) backendtest.Harness {
		return backendtest.Harness{
			Open: func(t *testing.T) *backend.Store {
				s, err := hazelcast.Open(t.Context(), srv.URL(), nil)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Native:   native,
			Features: features,
			Stop:     func(t *testing.T) { must(t, srv.Kill()) },
			Restart:  func(t *testing.T) { must(t, srv.Restart(context.Background())) }, // also from cleanups
			Pause:    func(t *testing.T) { must(t, srv.Pause()) },
			Resume:   func(t *testing.T) { must(t, srv.Resume()) },
		}
	}
	t.Run("a cancelled write is unknown and may land later", func(t *testing.T) { zombie(t, srv) })
	t.Run("suite", func(t *testing.T) { backendtest.RunOutage(t, harness) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
