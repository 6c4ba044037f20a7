package config

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/tier"
)

// ErrClosed: the [Set] was closed.
var ErrClosed = tier.ErrClosed

// Load reads a file and the process's environment, and opens what they name. It succeeds while servers are down, as their
// openers do. Mistakes are [Errors], all at once, and leave nothing open.
func Load(ctx context.Context, path string, drivers Drivers) (*Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return parseAndOpen(ctx, path, data, os.Environ(), drivers)
}

// Parse is [Load] with the file's content, and with an environment: a list of NAME=value, as os.Environ returns. nil is an
// empty one.
func Parse(ctx context.Context, data []byte, environment []string, drivers Drivers) (*Set, error) {
	return parseAndOpen(ctx, "", data, environment, drivers)
}

func parseAndOpen(ctx context.Context, file string, data []byte, environment []string, drivers Drivers) (*Set, error) {
	p := &problems{file: file}
	env := environ(environment)
	d := read(data, p)
	if len(p.list) == 0 || d.hasContent() { // of a file that is no YAML, nothing else can be said
		d.override(env, p)
	}
	pl := d.resolve(env, drivers, p)
	if err := p.err(); err != nil {
		return nil, err
	}
	set := pl.open(ctx, drivers, p)
	if err := p.err(); err != nil {
		return nil, err
	}
	return set, nil
}

func (d *document) hasContent() bool {
	return len(d.remotes)+len(d.buses)+len(d.journals)+len(d.caches)+len(d.defaults.fields) > 0
}

// A Set is an open configuration. Its methods, and [Cache], are safe for concurrent use.
type Set struct {
	plan     *plan
	file     string
	stores   map[*server]*backend.Store
	views    map[*remote]*backend.Store
	buses    map[*server]*invalidation.Bus
	journals map[*server]journal.Journal

	mu      sync.Mutex
	closers []func() error  // guarded by mu; in the order of opening
	made    map[string]bool // guarded by mu: the caches that were made
	closed  bool            // guarded by mu

	closing  sync.Once
	closeErr error // written in closing
}

// Remote returns the remote tier of that name, nil if the file names none. The Set closes it.
func (s *Set) Remote(name string) *backend.Store { return s.views[s.plan.remotes[name]] }

// Bus returns the bus of that name, nil if the file names none. The Set closes it.
func (s *Set) Bus(name string) *invalidation.Bus { return s.buses[s.plan.busNames[name]] }

// Journal returns the journal of that name, nil if the file names none. The Set closes it.
func (s *Set) Journal(name string) journal.Journal { return s.journals[s.plan.journalNames[name]] }

// Remotes returns the names of the remote tiers, sorted. The slice is the caller's.
func (s *Set) Remotes() []string { return slices.Sorted(maps.Keys(s.plan.remotes)) }

// Buses returns the names of the buses, sorted. The slice is the caller's.
func (s *Set) Buses() []string { return slices.Sorted(maps.Keys(s.plan.busNames)) }

// Journals returns the names of the journals, sorted. The slice is the caller's.
func (s *Set) Journals() []string { return slices.Sorted(maps.Keys(s.plan.journalNames)) }

// Caches returns the names of the caches, in the order of the file. The slice is the caller's.
func (s *Set) Caches() []string { return slices.Clone(s.plan.order) }

// Close closes everything in reverse order: caches, which write behind what they still can, journals, buses, remote tiers. It is idempotent: each Close returns when the first
// is through, with the same error.
func (s *Set) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		closers := s.closers
		s.closers = nil
		s.mu.Unlock()
		s.closeErr = closeAll(closers)
	})
	return s.closeErr
}

// quoteAll is s as %q would write it, without the quotes.
func quoteAll(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
