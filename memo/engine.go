package memo

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A core is an engine over a cache with keys of type K, from which the arguments can be had again: whoever loads a key behind has
// nothing else.
type core[K comparable, A, V any] struct {
	*setup[A, V]
	cache *tier.Cache[K, V]
	key   func(ctx context.Context, args A) (K, error)
	open  func(K) (args A, values []string, err error)
}

// A directKey is arguments that are the same for == if and only if they are written the same, so that a local hit writes nothing.
type directKey[A comparable] struct {
	args   A
	values string // of the context's variants, joined
}

func newDirect[A comparable, V any](s *setup[A, V]) (engine[A, V], control, error) {
	c := &core[directKey[A], A, V]{
		setup: s,
		key: func(ctx context.Context, args A) (k directKey[A], err error) {
			k.args = args
			if len(s.contexts) > 0 {
				k.values, err = s.fromContext(ctx)
			}
			return k, err
		},
		open: func(k directKey[A]) (A, []string, error) { return k.args, split(k.values, len(s.contexts)), nil },
	}
	return c.start(func(k directKey[A]) string {
		b, _ := s.write(nil, k.args) // what is direct can be written
		return shorten(string(s.appendValues(b, split(k.values, len(s.contexts)))))
	})
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// newDeep makes a core whose keys are what is written. The function is called with what can be read back from that: with nothing of
// which the caller still has a pointer, and with nothing that is not in the key.
func newDeep[A, V any](s *setup[A, V]) (engine[A, V], control, error) {
	c := &core[string, A, V]{
		setup: s,
		key: func(ctx context.Context, args A) (string, error) {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			b, err := s.write((*buf)[:0], args)
			if err != nil {
				return "", err
			}
			if len(s.contexts) > 0 {
				joined, err := s.fromContext(ctx)
				if err != nil {
					return "", err
				}
				b = s.appendValues(b, split(joined, len(s.contexts)))
			}
			*buf = b
			return string(b), nil
		},
		open: s.read,
	}
	return c.start(shorten)
}

func (c *core[K, A, V]) start(key func(K) string) (engine[A, V], control, error) {
	o, err := cacheOptions[K](c.setup)
	if err != nil {
		return nil, nil, err
	}
	o.Key, o.Policy = key, policy.CacheAside[K, V](c)
	if c.cache, err = tier.New(c.name, o); err != nil {
		return nil, nil, err
	}
	return c, c.cache, nil
}

func (c *core[K, A, V]) get(ctx context.Context, args A) (V, error) {
	k, err := c.key(ctx, args)
	if err != nil {
		var none V
		return none, err
	}
	return c.cache.Get(ctx, k)
}

func (c *core[K, A, V]) lookup(ctx context.Context, args A, options []tier.Option) (tier.Result[V], error) {
	k, err := c.key(ctx, args)
	if err != nil {
		return tier.Result[V]{}, err
	}
	return c.cache.Lookup(ctx, k, options...)
}

func (c *core[K, A, V]) invalidate(ctx context.Context, args []A) error {
	if len(c.contexts) > 0 {
		tags := make([]string, len(args))
		for i, a := range args {
			var err error
			if tags[i], err = c.argsTag(a); err != nil {
				return err
			}
		}
		return c.cache.InvalidateTag(ctx, tags...)
	}
	keys := make([]K, len(args))
	for i, a := range args {
		var err error
		if keys[i], err = c.key(ctx, a); err != nil {
			return err
		}
	}
	return c.cache.Invalidate(ctx, keys...)
}

func (c *core[K, A, V]) refresh(ctx context.Context, args A) error {
	k, err := c.key(ctx, args)
	if err != nil {
		return err
	}
	if err := c.cache.Expire(ctx, k); err != nil {
		return err
	}
	_, err = c.cache.Get(ctx, k)
	return err
}

// Load implements policy.Loader.
func (c *core[K, A, V]) Load(ctx context.Context, k K) (V, error) {
	a := c.Refresh(ctx, k, nil)
	return a.Value, a.Err
}

// Refresh implements policy.Refresher: only so a loader can tell of tags.
func (c *core[K, A, V]) Refresh(ctx context.Context, k K, _ *policy.Answer[V]) (answer policy.Answer[V]) {
	args, values, err := c.open(k)
	if err != nil {
		answer.Err = err
		return answer
	}
	for i, v := range c.contexts {
		ctx = v.into(ctx, values[i])
	}
	answer.Value, answer.Err = c.f(ctx, args)
	if answer.Err != nil && !errors.Is(answer.Err, ErrNotFound) {
		return answer
	}
	if c.describe != nil {
		c.describe(args, &answer)
	}
	if answer.Tags, err = c.tagsOf(args, values, answer.Tags); err != nil {
		answer.Err = err
	}
	return answer
}

// tagsOf returns the tags of a result: those that it was given, and those by which its variants are invalidated.
func (s *setup[A, V]) tagsOf(args A, values, given []string) ([]string, error) {
	n := len(s.tags) + len(s.contexts)
	if n == 0 {
		return given, nil
	}
	tags := make([]string, 0, len(given)+n+1)
	tags = append(tags, given...)
	for _, tag := range s.tags {
		tags = append(tags, tag(args))
	}
	for i, v := range s.contexts {
		tags = append(tags, variantTag(v.name, values[i]))
	}
	if len(s.contexts) == 0 {
		return tags, nil
	}
	all, err := s.argsTag(args)
	return append(tags, all), err
}

// argsTag is the tag of the results for args whatever the context.
func (s *setup[A, V]) argsTag(args A) (string, error) {
	b, err := s.write(nil, args)
	return "args/" + shorten(string(b)), err
}

// fromContext returns the values of the context's variants, joined.
func (s *setup[A, V]) fromContext(ctx context.Context) (string, error) {
	if len(s.contexts) == 1 {
		return s.valueOf(ctx, 0)
	}
	values := make([]string, len(s.contexts))
	for i := range values {
		var err error
		if values[i], err = s.valueOf(ctx, i); err != nil {
			return "", err
		}
	}
	return join(values), nil
}

// write writes args behind b.
func (s *setup[A, V]) write(b []byte, args A) ([]byte, error) {
	b, err := s.form.write(b, reflect.ValueOf(&args).Elem())
	return b, named(s.name, err)
}

// appendValues writes the values of the context's variants behind the arguments.
func (s *setup[A, V]) appendValues(b []byte, values []string) []byte {
	for i, v := range s.contexts {
		b = append(append(append(b, '@'), v.name...), '=')
		b = appendText(b, 's', values[i])
	}
	return b
}

// read undoes write and appendValues.
func (s *setup[A, V]) read(written string) (args A, values []string, err error) {
	r := reader{form: s.form, rest: written}
	if err := r.readValue(reflect.ValueOf(&args).Elem()); err != nil {
		return args, nil, err
	}
	for _, v := range s.contexts {
		if !r.skip("@" + v.name + "=") {
			return args, nil, errForm
		}
		value, err := r.text('s')
		if err != nil {
			return args, nil, err
		}
		values = append(values, value)
	}
	return args, values, only(r.rest == "")
}
