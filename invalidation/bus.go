package invalidation

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// drainTimeout bounds how long Close waits for announcements that are queued.
const drainTimeout = time.Second

// Bus is one node on a transport. Any number of caches attach to it, each by a name of its own. Safe for concurrent use.
type Bus struct {
	transport Transport
	node      NodeID
	log       *slog.Logger
	onEvent   func(Event)
	every     time.Duration // Options.Heartbeat, or 0

	position atomic.Pointer[Position]
	count    counters
	beats    beats
	nodes    nodes
	signer   signer
	guard    guard // of the receive goroutine
	drops    drops // of the receive goroutine
	queue    queue
	watchers watchers
	hints    topics
	outgoing chan string   // hints to be sent
	changes  topics        // names of registers
	echoes   topics        // heartbeats that came back
	poke     chan struct{} // asks for a heartbeat soon; capacity 1

	// mu guards the attachments, the registers and closed. attached is replaced, never changed, so that the receive goroutine and
	// heartbeats read it without the lock being held during a call.
	mu        sync.Mutex
	attached  map[string]*Attachment
	registers map[string]*Registry
	closed    bool

	// dispatch is held by the receive goroutine while it looks handlers up and calls them, so that Attachment.Close can wait
	// for them. It guards nothing else.
	dispatch sync.Mutex

	ctx    context.Context // of the goroutines; ends in Close
	cancel context.CancelFunc
	work   sync.WaitGroup // receive, heartbeat, hint, and what callers do by enter
	done   chan struct{}  // closed when Close is through
	err    error          // of the transport's Close, before done
}

// New starts a bus on a transport, which it owns and closes. The caller closes the bus. It does not wait for a subscription:
// until there is one, no cache is trusted.
func New(t Transport, o *Options) *Bus {
	b := newBus(t, o)
	// Close stops all four: b.ctx ends the first three, the queue's closing the last. It joins them by b.work and queue.idle.
	b.work.Go(b.receive)
	b.work.Go(b.heartbeats)
	b.work.Go(b.sendHints)
	go b.publish()
	return b
}

// newBus returns a bus whose goroutines do not run yet.
func newBus(t Transport, o *Options) *Bus {
	if o == nil {
		o = &Options{}
	}
	b := &Bus{
		transport: t, log: o.Logger, onEvent: o.OnEvent, every: max(o.Heartbeat, 0),
		attached: map[string]*Attachment{}, registers: map[string]*Registry{}, outgoing: make(chan string, hintQueue),
		poke: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.signer.ring, b.guard.ring, b.guard.unsigned = o.Keys, o.Keys, o.AcceptUnsigned
	_, _ = rand.Read(b.node[:]) // never fails: it ends the process instead
	b.position.Store(&Position{})
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.beats.init()
	b.queue.init()
	b.hints.init()
	b.changes.init()
	b.echoes.init()
	return b
}

// Node is this bus's identity on the transport.
func (b *Bus) Node() NodeID { return b.node }

// Position is up to where this node has applied the log without a gap; zero before the first subscription.
func (b *Bus) Position() Position { return *b.position.Load() }

// Attach makes h hear what is announced for the cache called name, on this node and others, and returns what announces for
// it. fingerprint stands for the options that all nodes must share; it is empty for who holds nothing, and whom that does not
// concern. maxStaleness is the bound that this node keeps.
//
// A name can be attached once at a time; another try is ErrAttached.
func (b *Bus) Attach(name, fingerprint string, maxStaleness time.Duration, h Handler) (*Attachment, error) {
	switch {
	case name == "" || len(name) > MaxName:
		return nil, fmt.Errorf("invalidation: attach: a name has 1 to %d bytes, got %d", MaxName, len(name))
	case len(fingerprint) > MaxName:
		return nil, fmt.Errorf("invalidation: attach %q: a fingerprint has at most %d bytes, got %d", name, MaxName, len(fingerprint))
	case maxStaleness < MinMaxStaleness:
		return nil, fmt.Errorf("invalidation: attach %q: maxStaleness is %v, at least %v", name, maxStaleness, MinMaxStaleness)
	case h == nil:
		return nil, fmt.Errorf("invalidation: attach %q: the handler is nil", name)
	}
	a := &Attachment{bus: b, name: name, fingerprint: fingerprint, maxStaleness: maxStaleness, handler: h}
	if err := b.add(a); err != nil {
		return nil, err
	}
	b.beatSoon()
	return a, nil
}

func (b *Bus) add(a *Attachment) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return fmt.Errorf("invalidation: attach %q: %w", a.name, ErrClosed)
	case b.attached[a.name] != nil:
		return fmt.Errorf("invalidation: attach %q: %w", a.name, ErrAttached)
	case len(b.attached) >= MaxAttachments:
		return fmt.Errorf("invalidation: attach %q: a bus serves at most %d caches", a.name, MaxAttachments)
	}
	next := make(map[string]*Attachment, len(b.attached)+1)
	for name, other := range b.attached {
		next[name] = other
	}
	next[a.name] = a
	b.attached = next
	return nil
}

func (b *Bus) remove(a *Attachment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attached[a.name] != a {
		return
	}
	next := make(map[string]*Attachment, len(b.attached))
	for name, other := range b.attached {
		if other != a {
			next[name] = other
		}
	}
	b.attached = next
}

// attachments returns the map as it is now; nobody changes it.
func (b *Bus) attachments() map[string]*Attachment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attached
}

// smallestBound is the smallest MaxStaleness attached.
func (b *Bus) smallestBound() time.Duration {
	smallest := time.Duration(0)
	for _, a := range b.attachments() {
		if smallest == 0 || a.maxStaleness < smallest {
			smallest = a.maxStaleness
		}
	}
	if smallest == 0 {
		return DefaultMaxStaleness
	}
	return smallest
}

// emit reports an event.
func (b *Bus) emit(e Event) {
	level := slog.LevelWarn
	switch e.Kind {
	case EventMismatch:
		level = slog.LevelError
	case EventFlush, EventReplay:
		level = slog.LevelInfo
	}
	b.log.Log(context.Background(), level, "invalidation: "+e.String(), "node", b.node.String())
	if b.onEvent != nil {
		b.onEvent(e)
	}
}

// Close sends what is queued (for at most a second), ends everything and closes the transport. Handlers are not called after
// it, and calls after it return ErrClosed. Idempotent: every Close returns when the first is through. What caches hold must
// not be served for longer than their bound after it, as after any loss of the bus.
func (b *Bus) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	defer close(b.done)

	b.queue.close()
	drained := time.NewTimer(drainTimeout)
	defer drained.Stop()
	select {
	case <-b.queue.idle:
	case <-drained.C:
	}
	b.cancel()
	b.work.Wait()
	<-b.queue.idle
	b.sayLeaving()
	if err := b.transport.Close(); err != nil {
		b.err = fmt.Errorf("invalidation: close the transport: %w", err)
	}
	return b.err
}
