package memory_test

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.MainWaiting(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	const maxBytes = 64 << 20
	backendtest.Run(t, func(*testing.T) backendtest.Harness {
		return backendtest.Harness{
			Open: func(t *testing.T) *backend.Store {
				s, err := backend.Open(t.Context(), "memory://conformance?max=67108864")
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Timeout: 15 * time.Second,
			Features: backendtest.Features{
				Counter:    true,
				Scanner:    true,
				Statser:    true,
				Identifier: true,
				MaxRecord:  maxBytes / 8,
			},
			Native: func() any { return new(*memory.Memory) },
		}
	})
}
