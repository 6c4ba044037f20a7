package tier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/internal/sentinel"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
)

// A behind is what a cache under policy.WriteBehind has more than others. There are two ways, by who sees the journal:
//
//	shared     Set:    bump · fence · announce · append · swap · announce · bump
//	           a load: append's index, else the source
//	           behind: source
//
//	this node's  Set:    bump · append · bump
//	           a read: append's index, else the remote tier, …
//	           behind: bump · fence · announce · source · swap · announce · bump
//
// With a shared journal the accepted write is what all nodes read from then on, so the caches are told when it is accepted, as
// policy.WriteThrough tells them when it is written: the journal stands for the source. With one of this node's own it is a
// promise of this node alone, and the others are told when it is kept, by a write through.
type behind[K comparable, V any] struct {
	c      *Cache[K, V]
	queue  journal.Queue
	worker *journal.Worker
	shared bool
	keys   codec.Codec[K]

	accepted, shed atomic.Uint64

	ctx   context.Context // ends when no more writes are accepted
	stop  context.CancelFunc
	drain func() error // once
}

// openBehind opens the queue of a cache and starts to write what is pending in it.
func (c *Cache[K, V]) openBehind() error {
	j := c.opts.Policy.Journal
	q, err := j.Open(c.keyspace(c.name+"/"+c.opts.Version), c.opts.Policy.Writing)
	if err != nil {
		return fmt.Errorf("journal %v: %w", j, err)
	}
	b := &behind[K, V]{c: c, queue: q, shared: j.Shared(), keys: c.opts.KeyCodec}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.drain = sync.OnceValue(b.drainNow)
	c.behind = b
	b.worker = journal.Work(q, c.opts.Policy.Writing, flusher[K, V]{b})
	return nil
}

// drainNow accepts no more writes, and writes what is pending as long as it may.
func (b *behind[K, V]) drainNow() error {
	b.stop()
	o := b.c.opts.Policy.Writing
	ctx, cancel := context.WithTimeout(context.Background(), max(o.DrainTimeout, 0))
	defer cancel()
	var err error
	if b.worker.Drain(ctx) != nil {
		err = b.undrained()
	}
	return errors.Join(err, b.queue.Close())
}

// undrained returns an error that says what is still pending, or nil.
func (b *behind[K, V]) undrained() error {
	ctx, cancel := cleanup(context.Background())
	defer cancel()
	s, err := b.queue.Stats(ctx)
	if err == nil && s.Depth == 0 {
		return nil
	}
	return &UndrainedError{Cache: b.c.name, Journal: b.c.opts.Policy.Journal.String(), Pending: s.Depth, Err: err}
}

// An UndrainedError is what Close returns when accepted writes are still pending. They stay in the journal, if it survives the process,
// and whoever opens the cache next writes them.
type UndrainedError struct {
	Cache   string
	Journal string // as it names itself
	Pending int    // keys
	Err     error  // why their number is not known, nil if it is
}

func (e *UndrainedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("tier: close %q: writes may still be pending in %s: %v", e.Cache, e.Journal, e.Err)
	}
	return fmt.Sprintf("tier: close %q: writes of %d keys are still pending in %s", e.Cache, e.Pending, e.Journal)
}

func (e *UndrainedError) Unwrap() error { return e.Err }

// Backlog returns what is accepted under policy.WriteBehind and not written yet. Under another policy it is ErrUnsupported.
func (c *Cache[K, V]) Backlog(ctx context.Context) (journal.Stats, error) {
	if c.behind == nil {
		return journal.Stats{}, fmt.Errorf("tier: backlog: %v has no journal: %w", c.opts.Policy.Mode, ErrUnsupported)
	}
	if err := c.enter(); err != nil {
		return journal.Stats{}, err
	}
	defer c.leave()
	return c.behind.queue.Stats(ctx)
}

// setBehind is Set under a policy that writes the source behind.
func (c *Cache[K, V]) setBehind(ctx context.Context, opts *call, changes []*change[K, V], value func(K) V) error {
	return c.accept(ctx, opts, changes, func(ch *change[K, V]) policy.Answer[V] {
		a := policy.Answer[V]{Value: value(ch.w.key)}
		if c.opts.Clone != nil {
			a.Value = c.opts.Clone(a.Value)
		}
		return a
	})
}

// deleteBehind is Delete under a policy that writes the source behind.
func (c *Cache[K, V]) deleteBehind(ctx context.Context, opts *call, changes []*change[K, V]) error {
	return c.accept(ctx, opts, changes, func(*change[K, V]) policy.Answer[V] { return policy.Answer[V]{Err: ErrNotFound} })
}

// accept has the journal accept changes, each to what answer says.
func (c *Cache[K, V]) accept(ctx context.Context, opts *call, changes []*change[K, V], answer func(*change[K, V]) policy.Answer[V]) error {
	changes = distinct(changes)
	writes := make(map[*change[K, V]]journal.Write, len(changes))
	c.stampAll(ctx, changes)
	for _, ch := range changes {
		c.capture(ch.w)
		a := answer(ch)
		if ch.life = c.lifeOf(opts, a); ch.life.ttl > 0 {
			ch.entry = c.newEntry(ch.w, a, ch.life, opts)
		}
		w, err := c.behind.write(ch, a, opts)
		if err != nil {
			ch.fail("journal", errors.Join(err, ErrNotWritten))
		}
		writes[ch] = w
	}
	if c.behind.shared {
		return c.through(ctx, opts, changes, "journal", func(ctx context.Context, able []*change[K, V]) {
			c.behind.append(ctx, able, writes)
			for _, ch := range able {
				if ch.cause == nil && ch.entry != nil && c.remote != nil && c.prepare(ch) != nil {
					ch.entry, ch.rec = nil, nil // too large for the remote tier; the journal has it
				}
			}
		})
	}
	return c.acceptHere(ctx, opts, changes, writes)
}

// acceptHere is accept with a journal that this node alone sees.
func (c *Cache[K, V]) acceptHere(ctx context.Context, opts *call, changes []*change[K, V], writes map[*change[K, V]]journal.Write) error {
	unlock, err := c.writers.lock(ctx, c.ctx, keysOf(changes))
	if err != nil {
		return err
	}
	defer unlock()
	var able []*change[K, V]
	for _, ch := range changes {
		if ch.err == nil {
			able = append(able, ch)
		}
	}
	first := c.bumpAll(able)
	for _, ch := range able {
		c.capture(ch.w)
	}
	c.behind.append(ctx, able, writes)
	for _, ch := range able {
		if ch.cause != nil && !errors.Is(ch.cause, errShed) {
			ch.fail("journal", ch.cause)
		}
		ch.stored = ch.cause == nil
	}
	c.bumpAndKeep(opts, first, able)
	return joined(changes)
}

// errShed is the cause of a change that was dropped because the journal is full.
var errShed = fmt.Errorf("shed: %w", errors.Join(sentinel.ErrJournalFull, ErrNotWritten))

// within is how long an append may still be accepted after it was sent. Its fence stands longer, also if this process dies, so
// that nobody caches what is older than a write that comes late.
func (b *behind[K, V]) within() time.Duration { return min(fenceTTL/2, b.c.opts.SourceSettle) }

// append appends changes to the journal, and notes in cause what became of them.
func (b *behind[K, V]) append(ctx context.Context, changes []*change[K, V], writes map[*change[K, V]]journal.Write) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.ctx, func() { cancel(ErrClosed) })()
	o := b.c.opts.Policy.Writing
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if ctx.Err() != nil { // also before the first: nothing was sent
			for _, ch := range changes {
				ch.cause = errors.Join(context.Cause(ctx), ErrNotWritten)
			}
			return
		}
		ws := make([]journal.Write, len(changes))
		for i, ch := range changes {
			ws[i] = writes[ch]
		}
		var full []*change[K, V]
		for i, r := range b.queue.Append(ctx, b.within(), ws) {
			ch := changes[i]
			switch ch.cause = r.Err; {
			case r.Err == nil:
				b.accepted.Add(1)
				if ch.entry != nil {
					ch.entry.version = uint64(r.Position)
				}
			case !errors.Is(r.Err, journal.ErrFull):
			case o.WhenFull == journal.Shed:
				b.shed.Add(1)
				ch.cause = errShed
			case o.WhenFull == journal.Block:
				full = append(full, ch)
			}
		}
		if changes = full; len(full) == 0 {
			return
		}
		pause(ctx, wait/2+jitter.N(wait)) // its end is seen above
	}
}

// A flusher gives what was pending to the source.
type flusher[K comparable, V any] struct{ *behind[K, V] }

// Flush makes the source have what entries say.
func (f flusher[K, V]) Flush(ctx context.Context, entries []journal.Entry) []error {
	errs := make([]error, len(entries))
	var able []journal.Entry
	var changes []policy.Change[K, V]
	var at []int
	for i, e := range entries {
		ch, err := f.change(e)
		if err != nil {
			errs[i] = fmt.Errorf("a pending write that cannot be read: %w", errors.Join(err, policy.ErrRejected))
			continue
		}
		able, changes, at = append(able, e), append(changes, ch), append(at, i)
	}
	if len(able) > 0 {
		store := f.c.storeAll
		if !f.shared {
			store = func(ctx context.Context, changes []policy.Change[K, V]) []error {
				return f.c.flushThrough(ctx, able, changes)
			}
		}
		for i, err := range store(ctx, changes) {
			errs[at[i]] = err
		}
	}
	return errs
}

// Buried takes what the caches hold of keys away: it will never be written.
func (f flusher[K, V]) Buried(ctx context.Context, keys []string) error {
	changes := make([]*change[K, V], len(keys))
	for i, key := range keys {
		changes[i] = &change[K, V]{w: &want[K, V]{op: "bury", remoteKey: key, stripe: f.c.epochs.stripeOf(key)}}
	}
	return f.c.write(ctx, invalidation.VerbInvalidate, plainCall, changes)
}

// Failed tells people.
func (f flusher[K, V]) Failed(entries []journal.Entry, err error, dead bool) {
	kind, key := EventUnwritten, entries[0].Key
	if len(entries) > 1 {
		key = ""
		err = fmt.Errorf("%d pending writes: %w", len(entries), err)
	}
	if dead {
		kind = EventDeadLetter
	}
	f.c.event(kind, key, err)
}

// flushThrough writes the source at changes as policy.WriteThrough does: nothing has told the other nodes of them yet. It returns what
// became of each.
func (c *Cache[K, V]) flushThrough(ctx context.Context, entries []journal.Entry, changes []policy.Change[K, V]) []error {
	pending := make([]*change[K, V], len(changes))
	for i, e := range entries {
		key := changes[i].Key
		pending[i] = &change[K, V]{w: &want[K, V]{op: "flush", key: key, hash: c.hash(key), remoteKey: e.Key, stripe: c.epochs.stripeOf(e.Key)}}
	}
	c.stampAll(ctx, pending)
	for i, ch := range pending {
		c.capture(ch.w)
		a := policy.Answer[V]{Value: changes[i].Value, Version: changes[i].Version}
		if changes[i].Delete {
			a.Err = ErrNotFound
		}
		if c.state(plainCall, ch, a) != nil {
			ch.entry, ch.rec = nil, nil // too large for the remote tier
		}
	}
	errs := make([]error, len(changes))
	w, err := c.open(ctx, plainCall, pending)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	copy(errs, c.storeAll(ctx, changes))
	for i, ch := range pending {
		ch.cause = errs[i]
	}
	w.finish(ctx, w.end() != opened) // what fails is repaired
	return errs
}
