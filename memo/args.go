package memo

import (
	"context"

	"github.com/strata-cache/strata/tier"
)

// Args2 is the arguments of a function of two, as [ByArgs] and [Describe] are given them.
type Args2[A, B any] struct {
	A A
	B B
}

// Args3 is the arguments of a function of three, as [ByArgs] and [Describe] are given them.
type Args3[A, B, C any] struct {
	A A
	B B
	C C
}

// A Func2 is a [Func] of two arguments.
type Func2[A, B, V any] struct {
	Cache
	f *Func[Args2[A, B], V]
}

// New2 is [New] for a function of two arguments. One of more than three takes a struct.
func New2[A, B comparable, V any](name string, f func(context.Context, A, B) (V, error), o *Options, more ...Option) (*Func2[A, B, V], error) {
	var one func(context.Context, Args2[A, B]) (V, error)
	if f != nil {
		one = func(ctx context.Context, a Args2[A, B]) (V, error) { return f(ctx, a.A, a.B) }
	}
	c, err := New(name, one, o, more...)
	if err != nil {
		return nil, err
	}
	return &Func2[A, B, V]{c.Cache, c}, nil
}

// Call is [Func.Call].
func (f *Func2[A, B, V]) Call(ctx context.Context, a A, b B) (V, error) {
	return f.f.Call(ctx, Args2[A, B]{a, b})
}

// Lookup is [Func.Lookup].
func (f *Func2[A, B, V]) Lookup(ctx context.Context, a A, b B, options ...tier.Option) (tier.Result[V], error) {
	return f.f.Lookup(ctx, Args2[A, B]{a, b}, options...)
}

// Invalidate is [Func.Invalidate].
func (f *Func2[A, B, V]) Invalidate(ctx context.Context, a A, b B) error {
	return f.f.Invalidate(ctx, Args2[A, B]{a, b})
}

// Refresh is [Func.Refresh].
func (f *Func2[A, B, V]) Refresh(ctx context.Context, a A, b B) error {
	return f.f.Refresh(ctx, Args2[A, B]{a, b})
}

// A Func3 is a [Func] of three arguments.
type Func3[A, B, C, V any] struct {
	Cache
	f *Func[Args3[A, B, C], V]
}

// New3 is [New] for a function of three arguments. One of more takes a struct.
func New3[A, B, C comparable, V any](
	name string, f func(context.Context, A, B, C) (V, error), o *Options, more ...Option,
) (*Func3[A, B, C, V], error) {
	var one func(context.Context, Args3[A, B, C]) (V, error)
	if f != nil {
		one = func(ctx context.Context, a Args3[A, B, C]) (V, error) { return f(ctx, a.A, a.B, a.C) }
	}
	c, err := New(name, one, o, more...)
	if err != nil {
		return nil, err
	}
	return &Func3[A, B, C, V]{c.Cache, c}, nil
}

// Call is [Func.Call].
func (f *Func3[A, B, C, V]) Call(ctx context.Context, a A, b B, c C) (V, error) {
	return f.f.Call(ctx, Args3[A, B, C]{a, b, c})
}

// Lookup is [Func.Lookup].
func (f *Func3[A, B, C, V]) Lookup(ctx context.Context, a A, b B, c C, options ...tier.Option) (tier.Result[V], error) {
	return f.f.Lookup(ctx, Args3[A, B, C]{a, b, c}, options...)
}

// Invalidate is [Func.Invalidate].
func (f *Func3[A, B, C, V]) Invalidate(ctx context.Context, a A, b B, c C) error {
	return f.f.Invalidate(ctx, Args3[A, B, C]{a, b, c})
}

// Refresh is [Func.Refresh].
func (f *Func3[A, B, C, V]) Refresh(ctx context.Context, a A, b B, c C) error {
	return f.f.Refresh(ctx, Args3[A, B, C]{a, b, c})
}
