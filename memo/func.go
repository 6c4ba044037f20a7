package memo

import (
	"context"
	"fmt"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// An Answer is what the function said, for [Describe].
type Answer[V any] = policy.Answer[V]

// ErrNotFound is what a function returns if there is no such thing. Unlike other errors it may be kept: see Options.NegativeTTL.
var ErrNotFound = policy.ErrNotFound

// A Func is a function whose results are cached. Its methods are safe for concurrent use, also with Close.
//
// Results are shared by all callers and must not be changed, unless [Clone] says how to copy them.
type Func[A, V any] struct {
	Cache
	engine engine[A, V]
}

// An engine is the cache of a function, whatever its keys are.
type engine[A, V any] interface {
	get(ctx context.Context, args A) (V, error)
	lookup(ctx context.Context, args A, options []tier.Option) (tier.Result[V], error)
	invalidate(ctx context.Context, args []A) error
	refresh(ctx context.Context, args A) error
}

// New caches the results of f by its argument, in a cache called name. All processes that share it use the same name, which
// is that of no other cache, and the same Options. The argument is a string, an integer, a bool, an array or struct of such, or
// anything else whose form is known: see the package's documentation. It succeeds while servers are down; whatever is wrong with the
// options and the type is an error that names it.
//
// Close ends it, and what it closes is its own cache only.
func New[A comparable, V any](name string, f func(context.Context, A) (V, error), o *Options, more ...Option) (*Func[A, V], error) {
	return newFunc(name, f, o, more, func(s *setup[A, V]) (engine[A, V], control, error) {
		if s.form.direct {
			return newDirect(s)
		}
		return newDeep(s)
	})
}

// NewDeep is New for an argument that == does not compare, such as a slice, a map, or a struct with such a field.
func NewDeep[A, V any](name string, f func(context.Context, A) (V, error), o *Options, more ...Option) (*Func[A, V], error) {
	return newFunc(name, f, o, more, newDeep[A, V])
}

func newFunc[A, V any](
	name string, f func(context.Context, A) (V, error), o *Options, more []Option,
	open func(*setup[A, V]) (engine[A, V], control, error),
) (*Func[A, V], error) {
	s, err := newSetup(name, f, o, more)
	if err != nil {
		return nil, err
	}
	e, c, err := open(s)
	if err != nil {
		return nil, fmt.Errorf("memo: new %q: %w", name, err)
	}
	return &Func[A, V]{Cache: Cache{c, s.names}, engine: e}, nil
}

// Call returns what the function returned for args: from this process, else from the remote tier, else by calling it. It has the
// function's signature, so it takes its place:
//
//	fetchRate := rates.Call
//
// Callers that miss at the same time share one call, also in other processes; each waits as long as its own ctx lets it. The
// function's context ends at LoadTimeout or when nobody waits any more; it carries the values of the first caller's, and behind a stale
// result of nobody's, save those of [ByContext]. An error of the function reaches all who wait for that call, within a
// *tier.Error, and is not kept; so does a panic, as a *tier.PanicError. A local hit does not look at ctx, save for ByContext.
func (f *Func[A, V]) Call(ctx context.Context, args A) (V, error) { return f.engine.get(ctx, args) }

// Lookup is Call with options, and tells what is known of the result.
func (f *Func[A, V]) Lookup(ctx context.Context, args A, options ...tier.Option) (tier.Result[V], error) {
	return f.engine.lookup(ctx, args, options)
}

// Invalidate makes sure that the present results for args are never served again: call it after what the function reads was
// changed. Where results depend on the context, those of all values there are meant, and ctx need not carry any. When it
// returns without an error no process serves an older result for a call that starts more than MaxStaleness later, and this one
// serves none at all; on an error it is as [tier.Cache.Invalidate] says.
func (f *Func[A, V]) Invalidate(ctx context.Context, args ...A) error {
	return f.engine.invalidate(ctx, args)
}

// Refresh says that a newer result for args is wanted: the present one becomes stale everywhere, and is served while the function is
// called behind. Where there is none the function is called now. Of results that depend on the context, that of ctx is meant.
func (f *Func[A, V]) Refresh(ctx context.Context, args A) error { return f.engine.refresh(ctx, args) }

// A Cache is what all cached functions can do, whatever they take.
type Cache struct {
	of       control
	variants map[string]bool
}

// control is the part of a tier.Cache that does not depend on its types.
type control interface {
	Name() string
	InvalidateTag(ctx context.Context, tags ...string) error
	Clear(ctx context.Context) error
	Stats() tier.Stats
	Close() error
}

// InvalidateVariant makes sure that no present result of a variant with one of values is served again, as Invalidate does for one. It
// takes the same few round trips however many results there are. A result of another value may die too, by chance: one in 4096. A
// variant that was not declared is an error.
func (c *Cache) InvalidateVariant(ctx context.Context, variant string, values ...string) error {
	if !c.variants[variant] {
		return fmt.Errorf("memo: %s: invalidate variant %q: it was not declared", c.Name(), variant)
	}
	tags := make([]string, len(values))
	for i, v := range values {
		tags[i] = variantTag(variant, v)
	}
	return c.of.InvalidateTag(ctx, tags...)
}

// Name returns the name of the cache.
func (c *Cache) Name() string { return c.of.Name() }

// InvalidateTag does the same for all results to which [Describe] gave one of tags.
func (c *Cache) InvalidateTag(ctx context.Context, tags ...string) error {
	return c.of.InvalidateTag(ctx, tags...)
}

// Clear does the same for all results.
func (c *Cache) Clear(ctx context.Context) error { return c.of.Clear(ctx) }

// Stats tells what the cache did since it was made.
func (c *Cache) Stats() tier.Stats { return c.of.Stats() }

// Close ends calls of the function under way, whose callers get tier.ErrClosed, waits for them, and frees what this process holds.
// It closes neither Remote nor Bus. It is idempotent, and otherwise as [tier.Cache.Close] says.
func (c *Cache) Close() error { return c.of.Close() }
