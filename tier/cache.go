package tier

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/invalidation"
	"github.com/strata-cache/strata/policy"
)

// A Cache is one named set of values in up to two tiers before a source. Its methods are safe for concurrent use, also
// with Close.
//
// Values that it returns are shared and must not be changed, unless Options.Clone is set.
type Cache[K comparable, V any] struct {
	name      string
	opts      Options[K, V]
	keyPrefix string                   // of every remote key: name/version/{
	keyString func(K) string           // nil: K is a TextMarshaler
	seed      maphash.Seed             // of the hashes in the local tier
	local     *local[K, V]             // nil: off
	remote    *backend.Store           // nil: none
	bus       *invalidation.Attachment // nil: none
	loader    policy.Loader[K, V]
	behind    *behind[K, V] // nil: nothing is written behind

	epochs    epochs
	tags      tagEpochs
	tagDoubts tagDoubts
	trust     atomic.Int64 // until when the bus vouches for local entries, by the clock of mono; neverTrusted before it did
	muted     atomic.Int64 // until when nothing is kept locally, because another node disagrees about this cache; 0 for never

	n    counters
	hits hits

	detector detector

	flights   flights[K, V]
	refreshes refreshes
	writers   writers
	repairs   repairs
	logged    logged
	marking   marking
	writes    writes[K, V]
	twoSteps  atomic.Bool // the bus and the store are known not to share a server
	guard     *guard      // nil: the remote tier cannot come back with older data, or there is none, or no bus

	// ctx ends when the cache is closed. life is held by every call that may start something, and waited for by Close.
	ctx    context.Context
	stop   context.CancelFunc
	mu     sync.RWMutex // guards closed against a beginning call
	closed bool
	life   sync.WaitGroup
}

// neverTrusted is the trust of a cache without a bus, or whose bus has not been heard yet. The clock of mono is negative in
// a synctest bubble.
const neverTrusted = math.MinInt64

// New makes a cache. It succeeds while servers are down; bad options fail with every problem named. The name is part of
// every remote key and is how nodes find each other on the bus: all processes that share the cache use the same one.
func New[K comparable, V any](name string, o *Options[K, V]) (*Cache[K, V], error) {
	return newCache(name, o, (*Cache[K, V]).fingerprint)
}

func newCache[K comparable, V any](name string, o *Options[K, V], fingerprint func(*Cache[K, V]) string) (*Cache[K, V], error) {
	opts := o.withDefaults()
	keyString, keyErr := keyFunc(opts.Key)
	if errors.Is(keyErr, errTextKey) {
		keyErr = nil
	}
	if err := errors.Join(opts.validate(name), keyErr); err != nil {
		return nil, fmt.Errorf("tier: new %q: %w", name, err)
	}
	c := &Cache[K, V]{
		name:      name,
		opts:      opts,
		keyPrefix: remotekey.Prefix(name, opts.Version),
		keyString: keyString,
		seed:      maphash.MakeSeed(),
		remote:    opts.Remote,
		loader:    opts.Policy.Loader,
	}
	c.trust.Store(neverTrusted)
	c.marking.init(name + "/" + opts.Version + "/markers")
	c.epochs.init(opts.LocalCost)
	c.ctx, c.stop = context.WithCancel(context.Background())
	if opts.LocalCost > 0 {
		var err error
		if c.local, err = newLocal[K, V](opts.LocalCost); err != nil {
			return nil, fmt.Errorf("tier: new %q: local tier: %w", name, err)
		}
	}
	if opts.Bus != nil {
		if opts.Remote != nil && opts.Remote.MayRewind() {
			c.guard = newGuard(opts.Remote, opts.Bus, c.name+"/"+opts.Version+"/guard", opts.MaxStaleness)
			c.guard.tell = func(ctx context.Context, keys []string) error {
				return c.announce(ctx, invalidation.VerbInvalidate, keys)
			}
		}
		var err error
		if c.bus, err = opts.Bus.Attach(name, fingerprint(c), opts.MaxStaleness, listener[K, V]{c}); err == nil {
			err = c.guard.start(func(err error) { c.event(EventRewind, "", err) })
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("tier: new %q: %w", name, err)
		}
	}
	c.resume()
	if opts.Policy.Mode == policy.Behind {
		if err := c.openBehind(); err != nil {
			c.Close()
			return nil, fmt.Errorf("tier: new %q: %w", name, err)
		}
	}
	c.detect()
	return c, nil
}

// Name returns the cache's name.
func (c *Cache[K, V]) Name() string { return c.name }

// Close ends loads and refreshes under way, whose callers get ErrClosed, waits for them, leaves the bus and frees the local
// tier. It closes neither Remote nor Bus. It is idempotent; calls after it return ErrClosed.
//
// It waits at most LoadTimeout, and then returns an error: for a loader that does not end with its context, or one that
// itself calls Close. What such a loader brings is kept nowhere. Repairs that are due are tried once more, for a second; what then
// remains is an *UnrepairedError.
//
// Under policy.WriteBehind it first accepts no more writes, and writes what is pending for as long as journal.Options.DrainTimeout; what
// then remains in the journal is an *UndrainedError.
func (c *Cache[K, V]) Close() error {
	var err error
	if c.behind != nil {
		err = c.behind.drain()
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.epochs.flush() // no hit from now on
	c.stop()
	err = errors.Join(err, c.awaitCalls())
	c.writes.expire()
	err = errors.Join(err, c.mendLast())
	c.guard.close()
	if c.bus != nil {
		err = errors.Join(err, c.bus.Close())
	}
	if c.local != nil {
		c.local.close()
	}
	return err
}

// awaitCalls waits for all calls under way.
func (c *Cache[K, V]) awaitCalls() error {
	over := make(chan struct{})
	go func() { // ends when the last call does
		c.life.Wait()
		close(over)
	}()
	timer := time.NewTimer(c.opts.LoadTimeout)
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-timer.C:
		return fmt.Errorf("tier: close %q: a loader is still running after %v", c.name, c.opts.LoadTimeout)
	}
}

// enter begins a call that may start something; leave ends it. It fails once the cache is closed.
func (c *Cache[K, V]) enter() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ErrClosed
	}
	c.life.Add(1)
	return nil
}

func (c *Cache[K, V]) leave() { c.life.Done() }

// cleanup returns a context for a step that must still be tried when ctx has ended.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Second)
}
