package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"maps"
)

// An Opener opens a Store by URL. It succeeds while the servers are down, and fails on an unknown parameter.
type Opener func(ctx context.Context, url string) (*Store, error)

// A Mux knows openers by URL scheme. The zero value knows none. It is safe for concurrent use.
type Mux struct {
	mu      sync.RWMutex
	openers map[string]Opener // guarded by mu
}

// Register makes the mux open URLs of the scheme by o. It panics if the scheme has an opener already: two packages
// that claim one scheme are a mistake in the program.
func (m *Mux) Register(scheme string, o Opener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.openers[scheme]; ok {
		panic("backend: scheme " + scheme + " registered twice")
	}
	if m.openers == nil {
		m.openers = make(map[string]Opener)
	}
	m.openers[scheme] = o
}

// Schemes returns the schemes that m knows, sorted.
func (m *Mux) Schemes() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.openers))
}

// Open opens the Store that rawURL names. Errors never show the URL's password.
func (m *Mux) Open(ctx context.Context, rawURL string) (*Store, error) {
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("backend: open: a URL begins with a scheme and ://, like redis://localhost:6379")
	}
	m.mu.RLock()
	o := m.openers[scheme]
	m.mu.RUnlock()
	if o == nil {
		return nil, fmt.Errorf("backend: open: unknown scheme %q; known here: %s (each is known once its package is imported)",
			scheme, strings.Join(m.Schemes(), ", "))
	}
	return o(ctx, rawURL)
}

var defaultMux Mux

// Register adds a scheme to those that Open knows. The packages backend/redis, backend/memcached, backend/hazelcast
// and backend/memory do so when they are imported.
func Register(scheme string, o Opener) { defaultMux.Register(scheme, o) }

// Schemes returns the schemes that Open knows, sorted.
func Schemes() []string { return defaultMux.Schemes() }

// Open opens the Store that rawURL names, by the backends that the program imports. It succeeds while the servers are
// down. Close the Store when done.
func Open(ctx context.Context, rawURL string) (*Store, error) { return defaultMux.Open(ctx, rawURL) }

// CheckParameters returns an error that names each query parameter of u that is not in known. It is for openers.
func CheckParameters(u *url.URL, known ...string) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if len(known) == 0 {
		return fmt.Errorf("unknown URL parameter %s: %s:// takes none", strings.Join(unknown, ", "), u.Scheme)
	}
	return fmt.Errorf("unknown URL parameter %s; known: %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
}
