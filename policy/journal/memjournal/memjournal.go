package memjournal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/internal/index"
)

// New returns a journal of its own, with nothing in it.
func New() journal.Journal {
	return &memory{hub: NewHub(), open: make(map[string]*queue)}
}

// A Hub holds the queues of journals that share them. It is safe for concurrent use. The zero value is not usable.
type Hub struct {
	mu     sync.Mutex
	queues map[string]*index.Index // guarded by mu
}

// NewHub returns a hub with nothing in it.
func NewHub() *Hub { return &Hub{queues: make(map[string]*index.Index)} }

// Journal returns another journal on the hub, as another node has it. It is shared: what one accepted others see and take, and
// what it holds outlasts it, as long as there is the hub.
func (h *Hub) Journal() journal.Journal {
	return &memory{hub: h, shared: true, open: make(map[string]*queue)}
}

func (h *Hub) queue(name string) *index.Index {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.queues[name]
	if x == nil {
		x = index.New()
		h.queues[name] = x
	}
	return x
}

// memory is a journal.Journal.
type memory struct {
	hub    *Hub
	shared bool

	mu     sync.Mutex
	open   map[string]*queue // guarded by mu, as closed
	closed bool
}

func (m *memory) Open(name string, o journal.Options) (journal.Queue, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("memjournal: open %q: %w", name, journal.ErrClosed)
	}
	if m.open[name] != nil {
		return nil, fmt.Errorf("memjournal: queue %q is open already", name)
	}
	takeOver := o.TakeOver
	if !m.shared {
		takeOver = 0
	}
	x := m.hub.queue(name)
	q := &queue{Handle: x.Open("memjournal", takeOver), index: x, bound: o.Bound, journal: m, name: name}
	m.open[name] = q
	return q, nil
}

func (m *memory) Shared() bool { return m.shared }

func (m *memory) String() string { return "memory" }

func (m *memory) Close() error {
	m.mu.Lock()
	m.closed = true
	var open []*queue
	for _, q := range m.open {
		open = append(open, q)
	}
	m.mu.Unlock()
	for _, q := range open {
		q.Close()
	}
	return nil
}

// A queue is a journal.Queue.
type queue struct {
	*index.Handle
	index   *index.Index
	bound   int
	journal *memory
	name    string
}

// run makes a change unless the queue is closed or ctx has ended.
func (q *queue) run(ctx context.Context, verb string, op func(*index.Batch)) error {
	if err := q.Enter(ctx, verb); err != nil {
		return err
	}
	defer q.Leave()
	return q.index.Run(nil, op)
}

func (q *queue) Append(ctx context.Context, within time.Duration, writes []journal.Write) (receipts []journal.Receipt) {
	if within <= 0 {
		return index.Refused(len(writes), q.Fail("append", journal.ErrUnavailable))
	}
	if err := q.run(ctx, "append", func(b *index.Batch) { receipts = b.Append(q.bound, writes) }); err != nil {
		return index.Refused(len(writes), err)
	}
	return receipts
}

func (q *queue) Done(ctx context.Context, entries []journal.Entry) error {
	return q.run(ctx, "done", func(b *index.Batch) { b.Done(entries) })
}

func (q *queue) Bury(ctx context.Context, entries []journal.Entry, causes []string) error {
	return q.run(ctx, "bury", func(b *index.Batch) { b.Bury(entries, causes) })
}

func (q *queue) Retry(ctx context.Context, keys ...string) (n int, err error) {
	err = q.run(ctx, "retry", func(b *index.Batch) { n = b.Retry(keys) })
	return n, err
}

func (q *queue) Purge(ctx context.Context, keys ...string) (n int, err error) {
	err = q.run(ctx, "purge", func(b *index.Batch) { n = b.Purge(keys) })
	return n, err
}

func (q *queue) Close() error {
	q.End(func() {
		q.journal.mu.Lock()
		defer q.journal.mu.Unlock()
		delete(q.journal.open, q.name)
	})
	return nil
}
