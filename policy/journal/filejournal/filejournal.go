package filejournal

import (
	"fmt"
	"sync"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/internal/index"
)

// Open opens the journal in a file, which is made where there is none, for its owner alone to read; its folder has to be there. o may be
// nil. An error is [ErrLocked] when another has the file, or a [*FormatError] when it is no journal.
func Open(path string, o *Options) (journal.Journal, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("filejournal: %w", err)
	}
	s, err := openStore(path, opts)
	if err != nil {
		return nil, err
	}
	return &file{store: s, opts: opts, open: make(map[string]*queue)}, nil
}

// file is a journal.Journal.
type file struct {
	store *store
	opts  Options

	mu     sync.Mutex
	open   map[string]*queue // guarded by mu, as closed
	closed bool

	close sync.Once
	err   error // of Close; written in close
}

func (f *file) Open(name string, o journal.Options) (journal.Queue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fmt.Errorf("filejournal: open %q: %w", name, journal.ErrClosed)
	}
	if f.open[name] != nil {
		return nil, fmt.Errorf("filejournal: queue %q is open already", name)
	}
	x := index.New()
	if err := f.store.load(name, x, f.opts.OnDamage); err != nil {
		return nil, err
	}
	q := newQueue(f, name, x, o.Bound)
	f.open[name] = q
	return q, nil
}

func (f *file) Shared() bool { return false }

func (f *file) String() string { return "file " + f.store.path }

func (f *file) Close() error {
	f.close.Do(func() {
		f.mu.Lock()
		f.closed = true
		var open []*queue
		for _, q := range f.open {
			open = append(open, q)
		}
		f.mu.Unlock()
		for _, q := range open {
			q.Close()
		}
		if err := f.store.close(); err != nil {
			f.err = fmt.Errorf("filejournal: %w", err)
		}
	})
	return f.err
}
