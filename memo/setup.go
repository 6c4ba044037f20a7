package memo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/tier"
)

// A setup is what New made of what it was given.
type setup[A, V any] struct {
	name     string
	f        func(context.Context, A) (V, error)
	o        *Options
	d        declared
	contexts []contextVariant // by name
	form     *form
	names    map[string]bool // of variants
	tags     []func(A) string
	describe func(A, *Answer[V])
}

func newSetup[A, V any](name string, f func(context.Context, A) (V, error), o *Options, more []Option) (*setup[A, V], error) {
	s := &setup[A, V]{name: name, f: f, o: o, names: map[string]bool{}}
	for _, m := range more {
		m(&s.d)
	}
	var errs []error
	if f == nil {
		errs = append(errs, errors.New("no function"))
	}
	tagged, err := taggedFields[A]()
	errs = append(errs, err)
	for _, v := range append(tagged, s.d.args...) {
		of, ok := v.of.(func(A) string)
		if !ok || of == nil {
			errs = append(errs, fmt.Errorf("variant %q: ByArgs takes a %T, got %T", v.name, of, v.of))
		}
		errs = append(errs, s.declare(v.name))
		s.tags = append(s.tags, func(a A) string { return variantTag(v.name, of(a)) })
	}
	s.contexts = slices.SortedFunc(slices.Values(s.d.contexts), func(a, b contextVariant) int { return strings.Compare(a.name, b.name) })
	for _, v := range s.contexts {
		if v.from == nil || v.into == nil {
			errs = append(errs, fmt.Errorf("variant %q: ByContext takes two functions", v.name))
		}
		errs = append(errs, s.declare(v.name))
	}
	errs = append(errs, fits("Describe", s.d.describe, &s.describe))
	if s.form, err = formOf(reflect.TypeFor[A]()); err != nil {
		errs = append(errs, named(name, err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("memo: new %q: %w", name, err)
	}
	return s, nil
}

// declare notes the name of a variant.
func (s *setup[A, V]) declare(name string) error {
	switch {
	case !variantName.MatchString(name):
		return fmt.Errorf("variant %q: 1 to 64 letters, digits, '.', '_' or '-'", name)
	case s.names[name]:
		return fmt.Errorf("variant %q: declared twice", name)
	}
	s.names[name] = true
	return nil
}

// fits puts given into field, if it is of its type.
func fits[T any](option string, given any, field *T) error {
	v, ok := given.(T)
	if given != nil && !ok {
		return fmt.Errorf("%s takes a %T, got %T", option, *field, given)
	}
	*field = v
	return nil
}

// cacheOptions are those of the cache, save Key and Policy.
func cacheOptions[K comparable, A, V any](s *setup[A, V]) (*tier.Options[K, V], error) {
	o := tierOptions[K, V](s.o)
	var weigh func(V) int64
	var c codec.Codec[V]
	err := errors.Join(fits("Clone", s.d.clone, &o.Clone), fits("Weigh", s.d.weigh, &weigh), fits("Codec", s.d.codec, &c))
	if weigh != nil {
		o.Weigh = func(_ K, v V) int64 { return weigh(v) }
	}
	o.Codec = c
	return o, err
}

// valueOf returns the value of a variant of the context.
func (s *setup[A, V]) valueOf(ctx context.Context, i int) (string, error) {
	v, err := s.contexts[i].from(ctx)
	if err != nil {
		return "", fmt.Errorf("memo: %s: variant %s: %w", s.name, s.contexts[i].name, err)
	}
	return v, nil
}
