package memcached_test

import (
	"context"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/backendtest"
	"github.com/strata-cache/strata/backend/memcached"
	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

var features = backendtest.Features{
	Counter:      true,
	Statser:      true,
	Identifier:   true,
	TTLPrecision: time.Second,
	MaxRecord:    1<<20 - 512,
}

// harness is one pool of servers that nobody else uses.
func harness(timeout string, servers ...*server.Server) backendtest.Harness {
	url := poolURL("timeout="+timeout, servers...)
	patience, _ := time.ParseDuration(timeout)
	each := func(t *testing.T, what string, f func(s *server.Server) error) {
		for _, s := range servers {
			if err := f(s); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	return backendtest.Harness{
		Open:     func(t *testing.T) *backend.Store { return open(t, url) },
		Timeout:  patience,
		Native:   func() any { return new(*memcache.Client) },
		Features: features,
		Stop:     func(t *testing.T) { each(t, "kill", (*server.Server).Kill) },
		Restart: func(t *testing.T) {
			each(t, "restart", func(s *server.Server) error { return s.Restart(context.Background()) })
		},
		Pause:  func(t *testing.T) { each(t, "pause", pause) },
		Resume: func(t *testing.T) { each(t, "resume", (*server.Server).Resume) },
	}
}

// shared is the harness without what stops servers.
func shared(h backendtest.Harness) backendtest.Harness {
	h.Stop, h.Restart, h.Pause, h.Resume = nil, nil, nil, nil
	return h
}

func TestConformanceOfEachTopology(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) backendtest.Harness{
		"one server": func(t *testing.T) backendtest.Harness { return harness("10s", servertest.SharedMemcached(t)) },
		"three servers of a Membership": func(t *testing.T) backendtest.Harness {
			servers, r := own(t, 3), newRegister()
			h := harness("10s", servers...)
			h.Open = func(t *testing.T) *backend.Store {
				return members(t, r, memcached.Options{Timeout: h.Timeout}, servers...)
			}
			return h
		},
		"TLS and users": func(t *testing.T) backendtest.Harness {
			srv, o := secured(t, newAuthority(t))
			o.Timeout = 10 * time.Second
			h := harness("10s", srv)
			h.Open = func(t *testing.T) *backend.Store { return openWith(t, "memcacheds://"+srv.Addr(), &o) }
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, func(t *testing.T) backendtest.Harness { return shared(start(t)) })
		})
	}
}

func TestConformanceInOutages(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) backendtest.Harness{
		"one server":    func(t *testing.T) backendtest.Harness { return harness("500ms", own(t, 1)...) },
		"three servers": func(t *testing.T) backendtest.Harness { return harness("500ms", own(t, 3)...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // with each other only: their timeouts are short
			backendtest.RunOutage(t, start)
		})
	}
}
