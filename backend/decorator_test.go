package backend_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/memory"
	"github.com/strata-cache/strata/backend/redis"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// decorators are what With and Prefix put around a store. Each passes the whole suite, capabilities included: what the
// backend cannot do stays ErrUnsupported.
var decorators = map[string]func(s *backend.Store, timeout time.Duration) *backend.Store{
	"observer and timeout": func(s *backend.Store, timeout time.Duration) *backend.Store {
		return s.With(&backend.Options{Observer: nobody{}, Timeout: timeout})
	},
	"tenant": func(s *backend.Store, _ time.Duration) *backend.Store { return s.Owning("tenant ü/{1}").With(nil) },
	"nested": func(s *backend.Store, timeout time.Duration) *backend.Store {
		s = s.With(&backend.Options{Observer: nobody{}, Decorate: func(d driver.Driver) driver.Driver { return decorated{d} }})
		return s.Owning("outer").With(&backend.Options{Observer: nobody{}}).Owning("").With(&backend.Options{Timeout: timeout})
	},
}

// nobody is an observer to whom nothing matters.
type nobody struct{}

func (nobody) Start(ctx context.Context, _ backend.Call) context.Context { return ctx }
func (nobody) End(context.Context, backend.Call, backend.Result)         {}

func TestDecoratorsConformOnMemory(t *testing.T) {
	t.Parallel()
	for name, decorate := range decorators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := "memory://" + rand.Text()
			backendtest.Run(t, func(t *testing.T) backendtest.Harness {
				return backendtest.Harness{
					Open: func(t *testing.T) *backend.Store {
						s, err := backend.Open(t.Context(), shared)
						if err != nil {
							t.Fatal(err)
						}
						return decorate(s, patient)
					},
					Timeout:  patient,
					Features: backendtest.Features{Counter: true, Scanner: true, Statser: true, Identifier: true, MaxRecord: memory.DefaultMaxBytes / 8},
				}
			})
		})
	}
}

// patient is a timeout that a busy machine does not reach.
const patient = 15 * time.Second

// redisHarness opens decorated stores on srv, whose own timeout is longer than that of the decorator.
func redisHarness(t *testing.T, srv *server.Server, timeout time.Duration, decorate func(*backend.Store, time.Duration) *backend.Store) backendtest.Harness {
	open := func(t *testing.T) *backend.Store {
		s, err := redis.Open(t.Context(), srv.URL(), &redis.Options{Timeout: 3 * timeout})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	bare := open(t)
	defer bare.Close()
	f := backendtest.Features{Counter: true, Scanner: true, Statser: true, Identifier: true, RiderWriter: true}
	f.MaxRecord, _ = bare.MaxRecord()
	return backendtest.Harness{
		Open:     func(t *testing.T) *backend.Store { return decorate(open(t), timeout) },
		Timeout:  timeout,
		Features: f,
	}
}

func TestDecoratorsConformOnRedis(t *testing.T) {
	t.Parallel()
	for name, decorate := range decorators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, func(t *testing.T) backendtest.Harness {
				return redisHarness(t, servertest.SharedRedis(t), patient, decorate)
			})
		})
	}
}

// The rules of outages hold by the decorator's timeout alone: the driver's own is three times as long.
func TestATimeoutConformsInOutages(t *testing.T) {
	t.Parallel()
	backendtest.RunOutage(t, func(t *testing.T) backendtest.Harness {
		srv := servertest.Redis(t)
		h := redisHarness(t, srv, 500*time.Millisecond, decorators["nested"])
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
