package config

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/tier"
)

// An Option is what a program brings to a cache: a [Source], or [Hooks].
type Option[K comparable, V any] interface {
	apply(*brought[K, V])
}

// brought is what a program brought to a cache.
type brought[K comparable, V any] struct {
	sources []policy.Loader[K, V]
	hooks   []Hooks[K, V]
}

type source[K comparable, V any] struct{ loader policy.Loader[K, V] }

func (s source[K, V]) apply(b *brought[K, V]) { b.sources = append(b.sources, s.loader) }

// Source is what the cache stands before. Further methods of it are found as package policy says. The mode in the file says how
// it is used; one that the source cannot serve is an error of [Cache].
func Source[K comparable, V any](loader policy.Loader[K, V]) Option[K, V] {
	return source[K, V]{loader}
}

// Hooks are the options of a cache that a file cannot hold, as tier.Options has them. Each may be nil.
type Hooks[K comparable, V any] struct {
	Key      func(K) string
	KeyCodec codec.Codec[K]
	Codec    codec.Codec[V]
	Weigh    func(K, V) int64
	Clone    func(V) V
	OnEvent  func(tier.Event)
	Logger   *slog.Logger

	RepairLog tier.RepairLog
}

func (h Hooks[K, V]) apply(b *brought[K, V]) { b.hooks = append(b.hooks, h) }

// Cache makes the cache that the file describes under name. The [Set] closes it; a program may do so earlier. Each cache can be
// made once. Without a [Source] what is not cached is not found.
//
// An unknown name is an *[Error]; options that do not fit are an error that names each.
func Cache[K comparable, V any](set *Set, name string, options ...Option[K, V]) (*tier.Cache[K, V], error) {
	c, ok := set.plan.caches[name]
	if !ok {
		at := place{path: join("caches", name)}
		p := &problems{file: set.file}
		return nil, fmt.Errorf("config: %w", p.add(at, "no cache has this name; %s", suggest(name, set.plan.order)))
	}
	var b brought[K, V]
	for _, o := range options {
		if o != nil {
			o.apply(&b)
		}
	}
	if len(b.hooks) > 1 || len(b.sources) > 1 {
		return nil, fmt.Errorf("config: cache %q: at most one Source and one Hooks, not %d and %d", name, len(b.sources), len(b.hooks))
	}
	pol, err := policyOf(c.mode, b.sources, set.journals[c.journal], c.writingOptions())
	if err != nil {
		return nil, fmt.Errorf("config: cache %q: %w", name, err)
	}
	set.mu.Lock() // while the cache is made, so that Close sees it; nothing in New waits for a server
	defer set.mu.Unlock()
	switch {
	case set.closed:
		return nil, fmt.Errorf("config: cache %q: %w", name, ErrClosed)
	case set.made[name]:
		return nil, fmt.Errorf("config: cache %q is made already", name)
	}
	cache, err := tier.New(name, tierOptions(set, c, pol, b.hooks))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	set.made[name] = true
	set.closers = append(set.closers, cache.Close)
	return cache, nil
}

// tierOptions joins what the file says of a cache with what the program brings.
func tierOptions[K comparable, V any](set *Set, c *cachePlan, pol policy.Policy[K, V], hooks []Hooks[K, V]) *tier.Options[K, V] {
	o := &tier.Options[K, V]{
		Remote:          set.views[c.remote],
		Bus:             set.buses[c.bus],
		Policy:          pol,
		TTL:             c.ttl,
		LocalTTL:        c.localTTL,
		SoftTTL:         c.softTTL,
		NegativeTTL:     c.negativeTTL,
		Jitter:          c.jitter,
		MaxStaleness:    c.maxStaleness,
		LoadTimeout:     c.loadTimeout,
		FenceWait:       c.fenceWait,
		LeaseTTL:        c.leaseTTL,
		OnContention:    c.contention,
		WhenUnreachable: c.unreachable,
		SourceSettle:    c.sourceSettle,
		StaleSample:     c.staleSample,
		LocalCost:       c.localCost,
		Version:         c.version,
		Compression:     c.compressor,
		Encryption:      c.cipher,
		MaxBody:         int(c.maxBody),
	}
	for _, h := range hooks {
		o.KeyCodec, o.RepairLog = h.KeyCodec, h.RepairLog
		o.Key, o.Codec, o.Weigh, o.Clone, o.OnEvent, o.Logger = h.Key, h.Codec, h.Weigh, h.Clone, h.OnEvent, h.Logger
	}
	return o
}

// policyOf joins a mode of the file, and its journal, with the program's source. If the source cannot serve the mode, the error names
// both.
func policyOf[K comparable, V any](mode string, sources []policy.Loader[K, V], j journal.Journal, writing journal.Options) (policy.Policy[K, V], error) {
	var src policy.Loader[K, V]
	if len(sources) > 0 {
		if src = sources[0]; isNil(src) {
			return policy.Policy[K, V]{}, fmt.Errorf("mode %s: the source %T is nil: it cannot load", mode, src)
		}
	}
	if mode == policy.Aside.String() {
		return policy.CacheAside(src), nil
	}
	if src == nil {
		return policy.Policy[K, V]{}, fmt.Errorf("mode %s: there is no source: it needs one that loads and stores", mode)
	}
	both, ok := src.(policy.Source[K, V])
	if !ok {
		return policy.Policy[K, V]{}, fmt.Errorf("mode %s: the source %T cannot serve it: it is no policy.Source", mode, src)
	}
	if mode == policy.Behind.String() {
		return policy.WriteBehind(both, j, &writing), nil
	}
	return policy.WriteThrough(both), nil
}

// isNil sees a nil func and a nil pointer in an interface as well: either would fail only at the first miss.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Func, reflect.Pointer:
		return r.IsNil()
	}
	return false
}

// closeAll calls the last first.
func closeAll(closers []func() error) error {
	var errs []error
	for _, c := range slices.Backward(closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
